//! The filter in front of the automaton.

/// How many bytes are looked at together.
const GRAM: usize = 4;

/// The largest table: 32 KiB, what a core's first cache holds.
const MAX_BITS: u32 = 18;

/// Says of four bytes whether a form may begin with them or shortly before them.
///
/// aho-corasick's own filter gives up beyond some hundred patterns, and 20 secrets have over a thousand: its automaton then
/// looks at every byte, at 200 to 600 MiB/s. Here only every `step`-th place is looked at, and nearly all of them
/// are dismissed by one look into a table that stays in the first cache.
#[derive(Clone)]
pub(super) struct Filter {
    table: Box<[u64]>,
    shift: u32,
    step: usize,
    newlines: bool,
}

impl Filter {
    /// A filter for these forms, each of at least `GRAM` bytes. With `newlines`, four bytes with a line's end in
    /// them always pass: a form may go on behind it.
    pub(super) fn new<'a>(forms: impl Iterator<Item = &'a [u8]> + Clone, newlines: bool) -> Self {
        let shortest = forms.clone().map(<[u8]>::len).min().unwrap_or(GRAM);
        // So far apart that each form has a whole group of four at one of the places that are looked at.
        let step = (shortest.saturating_sub(GRAM) + 1).clamp(1, GRAM);
        let grams = forms.clone().count() * step;
        // 32 bits for each group: one place in 32 passes by chance.
        let bits = (grams * 32).next_power_of_two().trailing_zeros().clamp(12, MAX_BITS);
        let mut filter = Self { table: vec![0; 1 << (bits - 6)].into_boxed_slice(), shift: 32 - bits, step, newlines };
        for form in forms {
            for gram in form.windows(GRAM).take(step) {
                let slot = filter.slot(gram);
                filter.table[slot >> 6] |= 1 << (slot & 63);
            }
        }
        filter
    }

    fn slot(&self, gram: &[u8]) -> usize {
        // Knuth's multiplicative hash: the high bits depend on all four bytes.
        let value = u32::from_le_bytes([gram[0], gram[1], gram[2], gram[3]]);
        (value.wrapping_mul(0x9E37_79B1) >> self.shift) as usize
    }

    fn passes(&self, gram: &[u8]) -> bool {
        let slot = self.slot(gram);
        self.table[slot >> 6] >> (slot & 63) & 1 != 0 || self.newlines && gram.contains(&b'\n')
    }

    /// Calls `at` with every place where a form may begin, in order, and with those so near to the end that the
    /// filter cannot tell.
    pub(super) fn candidates(&self, text: &[u8], mut at: impl FnMut(usize)) {
        let reach = self.step - 1;
        let mut undecided = 0;
        let places = text.get(reach..).unwrap_or_default();
        for (index, gram) in places.windows(GRAM).step_by(self.step).enumerate() {
            let place = index * self.step;
            if self.passes(gram) {
                (place..=place + reach).for_each(&mut at);
            }
            undecided = place + self.step;
        }
        (undecided..text.len()).for_each(at);
    }
}
