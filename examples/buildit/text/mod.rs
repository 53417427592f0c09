//! Text for a terminal: durations, sizes, widths, and what must not reach it.

mod duration;
mod sanitize;
mod size;
mod width;

pub(crate) use duration::{duration, running, since};
pub(crate) use sanitize::{Keep, clean, sanitize, visible_line};
pub(crate) use size::{parse_age, parse_size, size};
pub(crate) use width::{fit_end, fit_middle, pad, width, wrap};
