//! Text for a terminal: durations, widths, and what must not reach it.

mod duration;
mod sanitize;
mod width;

pub(crate) use duration::{duration, running, since};
pub(crate) use sanitize::{Keep, clean, sanitize, visible_line};
pub(crate) use width::{fit_end, fit_middle, pad, width, wrap};
