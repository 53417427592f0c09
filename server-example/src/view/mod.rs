//! What is shown: runs, graphs and logs as plain data that the API serialises and the pages print. Pure.

pub(crate) mod ansi;
pub(crate) mod graph;
pub(crate) mod run;
pub(crate) mod words;
