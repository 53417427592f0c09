//! The filter in front of the automaton.

/// How many bytes are looked at together.
const GRAM: usize = 4;

/// The largest table: 32 KiB, what a core's first cache holds.
const MAX_BITS: u32 = 18;

/// Says where in a text a form may begin.
///
/// aho-corasick's own filter gives up beyond some hundred patterns, and 20 secrets have over a thousand: its automaton
/// then looks at every byte, at 200 to 600 MiB/s. Here only every `step`-th place is looked at, and nearly all of them
/// are dismissed by one look into a table that stays in the first cache.
#[derive(Clone)]
pub(super) struct Filter {
    /// The groups of four bytes that begin at one of the first `step` places of a form.
    near: Table,
    /// Those that a form begins with.
    first: Table,
    step: usize,
}

impl Filter {
    /// A filter for these forms, each of at least `GRAM` bytes.
    pub(super) fn new<'a>(forms: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let shortest = forms.clone().map(<[u8]>::len).min().unwrap_or(GRAM);
        // So far apart that each form has a whole group of four at one of the places that are looked at.
        let step = (shortest.saturating_sub(GRAM) + 1).clamp(1, GRAM);
        let grams = |count| forms.clone().flat_map(move |form| form.windows(GRAM).take(count));
        Self { near: Table::new(grams(step)), first: Table::new(grams(1)), step }
    }

    /// The places where a form may begin, in order: those that look like it, those near a line's end over which a
    /// form may go on (`wraps` says so of its place), and those so near to the end of the text that nothing tells.
    pub(super) fn candidates(&self, text: &[u8], wraps: impl Fn(usize) -> bool) -> Vec<usize> {
        let reach = self.step - 1;
        let mut found = Vec::new();
        let mut undecided = 0;
        for (index, gram) in text.get(reach..).unwrap_or_default().windows(GRAM).step_by(self.step).enumerate() {
            undecided = (index + 1) * self.step;
            if self.near.has(gram) {
                let places = undecided - self.step..undecided;
                found.extend(places.filter(|&place| self.first.has(&text[place..place + GRAM])));
            }
        }
        let before = found.len();
        for end in memchr::memchr2_iter(b'\n', b'\r', text).filter(|&end| wraps(end)) {
            found.extend(end.saturating_sub(reach + GRAM)..end);
        }
        let is_in_order = found.len() == before;
        found.extend(undecided..text.len());
        if !is_in_order {
            found.sort_unstable();
            found.dedup();
        }
        found
    }
}

/// A set of groups of four bytes that also holds some that nobody put in.
#[derive(Clone)]
struct Table {
    bits: Box<[u64]>,
    shift: u32,
}

impl Table {
    fn new<'a>(grams: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        // 32 bits for each group: one place in 32 passes by chance.
        let bits = (grams.clone().count() * 32).next_power_of_two().trailing_zeros().clamp(12, MAX_BITS);
        let mut table = Self { bits: vec![0; 1 << (bits - 6)].into_boxed_slice(), shift: 32 - bits };
        for gram in grams {
            let slot = table.slot(gram);
            table.bits[slot >> 6] |= 1 << (slot & 63);
        }
        table
    }

    fn slot(&self, gram: &[u8]) -> usize {
        // Knuth's multiplicative hash: the high bits depend on all four bytes.
        let value = u32::from_le_bytes([gram[0], gram[1], gram[2], gram[3]]);
        (value.wrapping_mul(0x9E37_79B1) >> self.shift) as usize
    }

    fn has(&self, gram: &[u8]) -> bool {
        let slot = self.slot(gram);
        self.bits[slot >> 6] >> (slot & 63) & 1 != 0
    }
}
