//! Guarantee G4: every form, every split.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use rstest::rstest;
use secrecy::SecretString;

use super::{MASK, Masker, SecretError};

fn masker(secrets: &[&str]) -> Arc<Masker> {
    let values: Vec<SecretString> = secrets.iter().map(|&secret| secret.into()).collect();
    Arc::new(Masker::new(values.iter().map(|value| ("S", value))).unwrap())
}

fn in_pieces(masker: &Arc<Masker>, text: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut stream = masker.stream();
    let mut out = Vec::new();
    let mut start = 0;
    for &cut in cuts {
        stream.push(&text[start..cut], &mut out);
        start = cut;
    }
    stream.push(&text[start..], &mut out);
    stream.finish(&mut out);
    out
}

fn wrap(text: &str, width: usize, end: &str) -> String {
    let lines: Vec<&str> = text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join(end)
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// How a program might show a secret, beside what it shows with it.
fn shown(secret: &str) -> Vec<String> {
    let url: String = secret
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    vec![
        secret.to_owned(),
        STANDARD.encode(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        hex(secret),
        hex(secret).to_uppercase(),
        url.clone(),
        url.replace("%20", "+"),
        serde_json::to_string(secret).unwrap().trim_matches('"').to_owned(),
        serde_json::to_string(&serde_json::to_string(secret).unwrap().trim_matches('"'))
            .unwrap()
            .trim_matches('"')
            .to_owned(),
        secret.replace('\'', r"'\''"),
        secret.replace('\'', r#"'"'"'"#),
    ]
}

const SECRETS: [&str; 6] = [
    "hunter2-hunter2",
    "p@ss wörd/with=all&kinds'of\"quotes$and`ticks`\\",
    "ghp_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ\nab=\n-----END KEY-----\n",
    "{\n  \"user\": \"robot\",\n  \"key\": \"0f1e2d3c4b5a\"\n}",
    "abcd",
];

#[test]
fn g4_every_form_is_masked_whole() {
    for secret in SECRETS {
        let masker = masker(&[secret]);
        for form in shown(secret) {
            let lines = form.matches('\n').count() - usize::from(form.ends_with('\n'));
            let masked = masker.mask(&format!("<{form}>"));
            let expected =
                format!("<{}{}>", vec![MASK; lines + 1].join("\n"), if form.ends_with('\n') { "\n" } else { "" });
            assert_eq!(masked, expected, "{secret:?} as {form:?}");
            assert!(masker.holds(&form));
        }
    }
}

#[test]
fn g4_lines_of_a_secret_are_masked_and_its_braces_are_not() {
    let masker = masker(&[SECRETS[3], SECRETS[4]]);
    assert_eq!(masker.mask("{ MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ }"), "{ *** }");
    assert_eq!(masker.mask("  \"user\": \"robot\","), "  ***");
}

#[test]
fn g4_base64_of_a_longer_text_is_masked_at_each_alignment_and_width() {
    for secret in &SECRETS[..3] {
        let masker = masker(&[secret]);
        for before in 0..100 {
            let text = format!("{}{secret}: and more", "user:".repeat(20).split_at(before).0);
            for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                // The digits that depend on the secret alone; the others may stay.
                let own = (before * 8).div_ceil(6)..(before + secret.len()) * 8 / 6;
                let digits = &encoded[own];
                assert!(!masker.mask(&encoded).contains(digits), "{encoded}");
                for (width, end) in [(64, "\n"), (76, "\n"), (76, "\r\n")] {
                    let masked = masker.mask(&wrap(&encoded, width, end));
                    let left = masked.replace(['\r', '\n'], "");
                    let rest = digits.len().min(width) / 2 + 1;
                    let halves = [&digits[..rest], &digits[digits.len() - rest..]];
                    assert!(halves.iter().all(|half| !left.contains(half)), "{width}: {masked}");
                }
            }
            let wrapped = wrap(&hex(&text), 60, "\n");
            assert!(!masker.mask(&wrapped).replace('\n', "").contains(&hex(secret)[..8]), "{wrapped}");
        }
    }
}

#[rstest]
#[case::overlap(&["abcdefgh", "efghijkl"], "<abcdefghijkl>", "<***>")]
#[case::within(&["abcdefgh", "cdef"], "<abcdefgh> <cdef>", "<***> <***>")]
#[case::touch(&["abcd", "efgh"], "<abcdefgh>", "<***>")]
#[case::one_within_another_that_fails(&["abcdefgh", "bcde"], "<abcdeX>", "<a***X>")]
#[case::again_and_again(&["abab"], "<abababab>", "<***>")]
#[case::nothing(&["abcd"], "abc abd", "abc abd")]
#[case::blanks_around(&["\nabcd\n"], "<abcd>", "<***>")]
fn secrets_that_overlap_are_one_mask(#[case] secrets: &[&str], #[case] text: &str, #[case] masked: &str) {
    assert_eq!(masker(secrets).mask(text), masked);
}

#[rstest]
#[case("")]
#[case("abc")]
#[case("abc\n\n")]
#[case("        ")]
fn a_short_secret_is_refused(#[case] value: &str) {
    let value = SecretString::from(value);
    assert!(matches!(Masker::new([("S", &value)]), Err(SecretError::TooShort { name }) if name == "S"));
}

#[test]
fn what_is_kept_back_is_only_what_may_become_a_secret() {
    let masker = masker(&SECRETS);
    for line in ["a line that ends with h\n", "3\n", "}\n", "deadbeef\n", "c\n"] {
        let mut out = Vec::new();
        masker.stream().push(line.as_bytes(), &mut out);
        assert_eq!(out, line.as_bytes(), "a finished line waits for nothing");
    }
    let mut stream = masker.stream();
    let mut out = Vec::new();
    let mut most = 0;
    for (taken, byte) in "hunter2-hunter".bytes().cycle().take(100_000).enumerate() {
        stream.push(&[byte], &mut out);
        most = most.max(taken + 1 - out.len().min(taken + 1));
    }
    assert!(most < 200, "{most} bytes were kept");
}

/// A text made of what is hard: forms, their beginnings and ends, and all of it together with no space between.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let forms: Vec<String> = SECRETS
        .iter()
        .flat_map(|secret| {
            let mut forms = shown(secret);
            forms.push(wrap(&STANDARD.encode(format!("us:{secret}{secret}")), 64, "\n"));
            forms.push(wrap(&STANDARD.encode(format!("user:{secret}")), 76, "\r\n"));
            forms.push(wrap(&hex(secret), 60, "\n"));
            forms
        })
        .collect();
    let part = prop_oneof![
        4 => (prop::sample::select(forms), any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3u8).prop_map(|(form, a, b, how)| {
            let form = form.into_bytes();
            let (a, b) = (a.index(form.len()), b.index(form.len()));
            match how { 0 => form, 1 => form[..a].to_vec(), _ => form[a.min(b)..].to_vec() }
        }),
        2 => "[ -~\n]{0,8}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..8),
        1 => Just(b"\n".to_vec()),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn g4_the_result_is_the_same_wherever_the_text_is_cut(text in texts(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        let masker = masker(&SECRETS);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        let whole = in_pieces(&masker, &text, &[]);
        prop_assert_eq!(&in_pieces(&masker, &text, &cuts), &whole);
        let all: Vec<usize> = (0..text.len()).collect();
        prop_assert_eq!(&in_pieces(&masker, &text, &all), &whole, "byte by byte");
        for secret in SECRETS {
            for form in shown(secret) {
                prop_assert!(!contains(&whole, form.as_bytes()), "{:?} is left of {:?}", form, secret);
            }
        }
        let newlines = |text: &[u8]| text.iter().filter(|&&byte| byte == b'\n').count();
        prop_assert_eq!(newlines(&whole), newlines(&text), "no line is lost");
    }

    #[test]
    fn g4_what_is_masked_is_the_union_of_all_that_is_found(text in "[abc]{0,60}", secrets in prop::collection::vec("[abc]{4,7}", 1..4)) {
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let mut covered = vec![false; text.len()];
        for secret in &secrets {
            for start in 0..text.len() {
                if text[start..].starts_with(secret) {
                    covered[start..start + secret.len()].fill(true);
                }
            }
        }
        let mut expected = String::new();
        for (place, letter) in text.char_indices() {
            match covered[place] {
                false => expected.push(letter),
                true if place == 0 || !covered[place - 1] => expected.push_str(MASK),
                true => {}
            }
        }
        prop_assert_eq!(masker(&secrets).mask(&text), expected);
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
