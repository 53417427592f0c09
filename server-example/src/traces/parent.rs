//! The trace of whoever started a run, as W3C's `traceparent` says it.

/// The variable that jobs find it in, too, so that what they trace belongs to the same.
pub(crate) const VARIABLE: &str = "TRACEPARENT";

/// The span that a run is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
}

impl Parent {
    /// Reads `00-TRACE-SPAN-FLAGS`; nothing for what is no such text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        // A later version may have more parts; the one of today has not.
        let is_known = version.len() == 2 && version != "ff" && (version != "00" || parts.next().is_none());
        if !is_known || flags.len() != 2 || ![version, trace, span, flags].into_iter().all(is_hex) {
            return None;
        }
        let mut parent = Self { trace: [0; 16], span: [0; 8] };
        hex::decode_to_slice(trace, &mut parent.trace).ok()?;
        hex::decode_to_slice(span, &mut parent.span).ok()?;
        (parent.trace != [0; 16] && parent.span != [0; 8]).then_some(parent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_parent_is_none() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parent = Parent::parse(good).unwrap();
        assert_eq!((parent.trace[0], parent.span[7]), (0x0a, 0x31));
        assert!(Parent::parse(&good.replacen("00", "cc", 1)).is_some(), "a later version");
        assert!(Parent::parse(&format!("{}-more", good.replacen("00", "cc", 1))).is_some());
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c$-b7ad6b716920333-01",
            "00-0af7651916cd43dd8448eb211c8031-b7ad6b7169203331-01",
        ] {
            assert_eq!(Parent::parse(bad), None, "{bad}");
        }
    }
}
