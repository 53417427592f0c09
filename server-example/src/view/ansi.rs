//! Lines of a log as HTML: colours become classes, everything else is text.
//!
//! The parser is that of a terminal; what it draws on is one line. A carriage return goes back to its beginning, so that
//! of a progress bar only what it said last is left. Links, titles and whatever else a terminal can be told to do are
//! left out.

use std::fmt::Write;

use buildit::store::LogChunk;
use vte::ansi::{Attr, Color, Handler, LineClearMode, NamedColor, Processor, StdSyncHandler};

/// How many characters of a line are shown.
const LONGEST: usize = 8192;

/// Draws lines, one after another: a colour that is not ended goes on in the next one.
#[derive(Default)]
pub(crate) struct Painter {
    parser: Processor<StdSyncHandler>,
    line: Line,
}

/// How a character looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Style {
    foreground: Option<Shade>,
    background: Option<Shade>,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    strike: bool,
    inverse: bool,
}

/// One of the sixteen colours that a page has classes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shade(u8);

#[derive(Default)]
struct Line {
    cells: Vec<(char, Style)>,
    /// Where the next character goes.
    column: usize,
    /// How many characters did not fit.
    cut: usize,
    style: Style,
}

impl Painter {
    /// A line as HTML that may stand within an element.
    pub(crate) fn paint(&mut self, text: &[u8]) -> String {
        self.parser.advance(&mut self.line, text);
        let cells = std::mem::take(&mut self.line.cells);
        let cut = std::mem::take(&mut self.line.cut);
        self.line.column = 0;
        let mut html = String::with_capacity(cells.len() + 16);
        for run in cells.chunk_by(|one, next| one.1 == next.1) {
            let classes = run[0].1.classes();
            if !classes.is_empty() {
                let _ = write!(html, "<span class=\"{classes}\">");
            }
            run.iter().for_each(|(character, _)| escape(&mut html, *character));
            if !classes.is_empty() {
                html.push_str("</span>");
            }
        }
        if cut > 0 {
            let _ = write!(html, "<span class=\"cut\">… {cut} more characters</span>");
        }
        html
    }
}

/// Lines as HTML.
pub(crate) fn lines(painter: &mut Painter, chunk: &LogChunk) -> Vec<String> {
    let text = chunk.text.strip_suffix(b"\n").unwrap_or(&chunk.text);
    text.split(|&byte| byte == b'\n').map(|line| painter.paint(line)).collect()
}

fn escape(html: &mut String, character: char) {
    match character {
        '<' => html.push_str("&lt;"),
        '>' => html.push_str("&gt;"),
        '&' => html.push_str("&amp;"),
        '"' => html.push_str("&quot;"),
        '\'' => html.push_str("&#39;"),
        character => html.push(character),
    }
}

impl Style {
    fn classes(self) -> String {
        let mut classes = Vec::new();
        let (mut foreground, mut background) = (self.foreground, self.background);
        if self.inverse {
            (foreground, background) = (background, foreground);
        }
        let flags = [
            (self.bold, "b"),
            (self.dim, "d"),
            (self.italic, "i"),
            (self.underline, "u"),
            (self.strike, "s"),
            (self.inverse && foreground.is_none() && background.is_none(), "v"),
        ];
        classes.extend(flags.into_iter().filter(|(is_on, _)| *is_on).map(|(_, class)| class.to_owned()));
        classes.extend(foreground.map(|Shade(shade)| format!("f{shade}")));
        classes.extend(background.map(|Shade(shade)| format!("g{shade}")));
        classes.join(" ")
    }

    fn set(&mut self, attr: Attr) {
        match attr {
            Attr::Reset => *self = Self::default(),
            Attr::Bold => self.bold = true,
            Attr::Dim => self.dim = true,
            Attr::Italic => self.italic = true,
            Attr::Underline
            | Attr::DoubleUnderline
            | Attr::Undercurl
            | Attr::DottedUnderline
            | Attr::DashedUnderline => self.underline = true,
            Attr::Reverse => self.inverse = true,
            Attr::Strike => self.strike = true,
            Attr::CancelBold => self.bold = false,
            Attr::CancelBoldDim => (self.bold, self.dim) = (false, false),
            Attr::CancelItalic => self.italic = false,
            Attr::CancelUnderline => self.underline = false,
            Attr::CancelReverse => self.inverse = false,
            Attr::CancelStrike => self.strike = false,
            Attr::Foreground(color) => self.foreground = shade(color),
            Attr::Background(color) => self.background = shade(color),
            _ => {}
        }
    }
}

/// The nearest of the sixteen colours; `None` for the page's own.
fn shade(color: Color) -> Option<Shade> {
    match color {
        Color::Named(named) if (named as usize) < 16 => Some(Shade(named as u8)),
        Color::Named(NamedColor::DimBlack) => Some(Shade(0)),
        Color::Named(_) => None,
        Color::Indexed(index @ 0..16) => Some(Shade(index)),
        Color::Indexed(index @ 16..232) => {
            let level = |steps: u8| steps * 51;
            let cube = index - 16;
            Some(nearest(level(cube / 36), level(cube / 6 % 6), level(cube % 6)))
        }
        Color::Indexed(grey) => Some(nearest((grey - 232) * 10 + 8, (grey - 232) * 10 + 8, (grey - 232) * 10 + 8)),
        Color::Spec(rgb) => Some(nearest(rgb.r, rgb.g, rgb.b)),
    }
}

/// By which of red, green and blue are strong, and how bright it is.
fn nearest(red: u8, green: u8, blue: u8) -> Shade {
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    if most - least < 32 {
        return Shade(match most {
            0..64 => 0,
            64..144 => 8,
            144..208 => 7,
            208.. => 15,
        });
    }
    let half = least.midpoint(most);
    let bits = u8::from(red > half) | u8::from(green > half) << 1 | u8::from(blue > half) << 2;
    Shade(if most > 208 { bits + 8 } else { bits })
}

impl Handler for Line {
    fn input(&mut self, character: char) {
        if self.column >= LONGEST {
            self.cut += 1;
            return;
        }
        let cell = (character, self.style);
        match self.cells.get_mut(self.column) {
            Some(there) => *there = cell,
            None => {
                self.cells.resize(self.column, (' ', Style::default()));
                self.cells.push(cell);
            }
        }
        self.column += 1;
    }

    fn put_tab(&mut self, count: u16) {
        for _ in 0..count {
            self.input('\t');
        }
    }

    fn carriage_return(&mut self) {
        (self.column, self.cut) = (0, 0);
    }

    fn backspace(&mut self) {
        self.column = self.column.saturating_sub(1);
    }

    fn move_backward(&mut self, columns: usize) {
        self.column = self.column.saturating_sub(columns);
    }

    fn move_forward(&mut self, columns: usize) {
        self.column = self.column.saturating_add(columns).min(LONGEST);
    }

    fn goto_col(&mut self, column: usize) {
        self.column = column.min(LONGEST);
    }

    fn clear_line(&mut self, mode: LineClearMode) {
        match mode {
            LineClearMode::Right => self.cells.truncate(self.column),
            LineClearMode::Left => {
                let end = self.column.min(self.cells.len());
                self.cells[..end].fill((' ', Style::default()));
            }
            LineClearMode::All => self.cells.clear(),
        }
    }

    fn terminal_attribute(&mut self, attr: Attr) {
        self.style.set(attr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paint(text: &str) -> String {
        Painter::default().paint(text.as_bytes())
    }

    #[test]
    fn colours_become_classes() {
        assert_eq!(paint("plain"), "plain");
        assert_eq!(paint("\x1b[1;31mred\x1b[0m not"), "<span class=\"b f1\">red</span> not");
        assert_eq!(paint("\x1b[92;44mx\x1b[39my"), "<span class=\"f10 g4\">x</span><span class=\"g4\">y</span>");
        assert_eq!(paint("\x1b[38;5;196mx"), "<span class=\"f9\">x</span>");
        assert_eq!(paint("\x1b[38;2;0;120;0mx"), "<span class=\"f2\">x</span>");
        assert_eq!(paint("\x1b[7mx\x1b[27my"), "<span class=\"v\">x</span>y");
    }

    #[test]
    fn a_colour_goes_on_in_the_next_line() {
        let mut painter = Painter::default();
        assert_eq!(painter.paint(b"\x1b[32mone"), "<span class=\"f2\">one</span>");
        assert_eq!(painter.paint(b"two\x1b[0m."), "<span class=\"f2\">two</span>.");
        assert_eq!(painter.paint(b"three"), "three");
    }

    #[test]
    fn of_a_progress_bar_the_last_state_is_left() {
        assert_eq!(paint("10%\r50%\r100%"), "100%");
        assert_eq!(paint("working\r\x1b[Kdone"), "done");
        assert_eq!(paint("abc\x08\x08X"), "aXc");
    }

    #[test]
    fn no_text_becomes_markup() {
        assert_eq!(paint("<script>\"&'"), "&lt;script&gt;&quot;&amp;&#39;");
        assert_eq!(paint("\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07"), "click");
        assert_eq!(paint("\x1b]0;title\x07\x1b[2J\x1b[10;10Hx").matches('<').count(), 0);
    }

    #[test]
    fn a_line_is_cut_where_it_gets_too_long() {
        let html = paint(&"x".repeat(LONGEST + 3));
        assert!(html.ends_with("x<span class=\"cut\">… 3 more characters</span>"));
        assert!(paint(&format!("{}\rshort\x1b[K", "x".repeat(LONGEST + 3))).starts_with("short"));
        // A cursor that is sent far away makes nothing grow.
        assert!(paint("\x1b[999999999Cx").len() < 100_000);
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_drawn_and_closed(lines in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), 0..8)) {
            let mut painter = Painter::default();
            for line in lines {
                let html = painter.paint(&line);
                let text = html.replace("</span>", "").replace("<span class=\"", "");
                proptest::prop_assert!(!text.contains('<'), "{html}");
                proptest::prop_assert_eq!(html.matches("<span").count(), html.matches("</span>").count());
            }
        }
    }
}
