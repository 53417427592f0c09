//! Pages as pictures, which are compared with what they looked like when somebody last looked at them.
//!
//! A picture is kept at a quarter of its size, so that what letters look like to a pixel is no matter, and what differs from
//! run to run (times, ids, ports) is made the same before it is taken.

use std::path::{Path, PathBuf};

use super::browser::Stage;

/// The size of a picture: a quarter of the page's.
const SCALE: f64 = 0.25;

/// By how much a colour may differ, of 255, and how many of a thousand pixels may differ by more.
const NEAR: u8 = 40;
const FEW: usize = 10;

/// Set to anything, it keeps the pictures of today.
const WRITE: &str = "BUILDIT_WRITE_GOLDEN";

/// Makes the same what is another each time: digits and hexadecimal words, how long something took and when it was, and
/// where a picture is drawn by that. What moves stands still.
const STEADY: &str = r#"
const style = new CSSStyleSheet();
style.replaceSync('*, *::before, *::after { animation: none !important; transition: none !important; caret-color: transparent !important } .waterfall .bar, .waterfall rect { visibility: hidden }');
document.adoptedStyleSheets = [...document.adoptedStyleSheets, style];
const steady = text => text
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '00000000-0000-0000-0000-000000000000')
    .replace(/\b[0-9a-f]{7,}\b/g, word => '0'.repeat(word.length))
    .replace(/\/tmp\/[\w.]+/g, '/tmp/x')
    .replace(/\d+(\.\d+)?\s?(ms|s|m|h|d|KiB|MiB|B)\b( ago)?/g, '0s')
    .replace(/just now|in a moment/g, '0s')
    .replace(/:\d{4,5}\b/g, ':00000')
    .replace(/\d/g, '0');
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!['SCRIPT', 'STYLE'].includes(node.parentElement.tagName)) node.data = steady(node.data);
}
for (const time of document.querySelectorAll('time')) time.textContent = '0s';
for (const field of document.querySelectorAll('input:not([type=checkbox]):not([type=hidden]), textarea')) {
    field.value = steady(field.value);
    field.placeholder = steady(field.placeholder);
}
document.activeElement.blur();
scrollTo(0, 0);
"#;

/// Colours, in rows from the top.
#[derive(Debug, PartialEq, Eq)]
struct Picture {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    fn decode(bytes: &[u8]) -> Self {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let size = info.color_type.samples();
        assert!(size >= 3 && info.bit_depth == png::BitDepth::Eight, "{info:?}");
        let pixels = pixels[..info.buffer_size()].chunks(size).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Self { width: info.width as usize, pixels }
    }

    fn encode(&self, to: &Path) {
        let file = std::fs::File::create(to).unwrap();
        let (width, height) = (self.width as u32, (self.pixels.len() / self.width) as u32);
        let mut encoder = png::Encoder::new(std::io::BufWriter::new(file), width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::High);
        encoder.write_header().unwrap().write_image_data(self.pixels.as_flattened()).unwrap();
    }

    /// How many of a thousand pixels are of another colour.
    fn differs(&self, other: &Self) -> usize {
        if self.width != other.width || self.pixels.len() != other.pixels.len() {
            return 1000;
        }
        let is_far = |(one, two): (&[u8; 3], &[u8; 3])| one.iter().zip(two).any(|(one, two)| one.abs_diff(*two) > NEAR);
        self.pixels.iter().zip(&other.pixels).filter(|pair| is_far(*pair)).count() * 1000 / self.pixels.len()
    }
}

/// What a page is called: its kind, as a file may be.
fn file(name: &str, theme: &str, width: i64) -> PathBuf {
    let plain = name.trim_end_matches('?').replace("/acme/main", "").replace('#', "one");
    let words: Vec<&str> =
        plain.split(|sign: char| !sign.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let name = if words.is_empty() { "dashboard".to_owned() } else { words.join("-") };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/server/golden/{theme}-{width}"));
    folder.join(format!("{name}.png"))
}

/// Compares the page that is open, of this kind and in this theme, at both widths; what is not as it was.
pub(crate) async fn compare(stage: &Stage, kind: &str, theme: &str) -> Vec<String> {
    let mut other = Vec::new();
    stage.browser.execute(STEADY, vec![]).await.unwrap();
    for (width, height) in [(1440, 900), (360, 1600)] {
        stage.resize_to(width, height, SCALE).await;
        let taken = Picture::decode(&stage.browser.screenshot_as_png().await.unwrap());
        let file = file(kind, theme, width);
        if std::env::var_os(WRITE).is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            taken.encode(&file);
            continue;
        }
        let Ok(kept) = std::fs::read(&file) else {
            other.push(format!("{} is new: look at it, and keep it with {WRITE}=1", file.display()));
            continue;
        };
        let differs = taken.differs(&Picture::decode(&kept));
        if differs > FEW {
            let shown =
                std::env::temp_dir().join(format!("{theme}-{width}-{}", file.file_name().unwrap().to_str().unwrap()));
            taken.encode(&shown);
            other.push(format!(
                "{} differs in {differs} of 1000 pixels: it looks like {}",
                file.display(),
                shown.display()
            ));
        }
    }
    stage.resize_to(1440, 900, 1.0).await;
    other
}
