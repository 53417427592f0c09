//! Text that fits into columns.

use console::measure_text_width;

/// How many columns the text takes; colours take none.
pub(crate) fn width(text: &str) -> usize {
    measure_text_width(text)
}

/// The text cut to `columns` with an ellipsis at its end.
pub(crate) fn fit_end(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    let mut fitted = take_columns(text.chars(), columns - 1).into_iter().collect::<String>();
    fitted.push('…');
    fitted
}

/// The text cut to `columns` with an ellipsis in its middle: names differ at both ends.
pub(crate) fn fit_middle(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    if columns < 3 {
        return fit_end(text, columns);
    }
    let behind = (columns - 1) / 2;
    let front = take_columns(text.chars(), columns - 1 - behind);
    let back = take_columns(text.chars().rev(), behind);
    front.into_iter().chain(['…']).chain(back.into_iter().rev()).collect()
}

/// The text with spaces behind it up to `columns`.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// The text in lines of at most `columns`, broken at blanks; a word that is longer is broken where it must.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for mut word in text.split_whitespace() {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        while line.is_empty() && width(word) > columns {
            let begin: usize = take_columns(word.chars(), columns).into_iter().map(char::len_utf8).sum();
            let (begin, rest) = word.split_at(begin.max(word.chars().next().map_or(0, char::len_utf8)));
            lines.push(begin.to_owned());
            word = rest;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

fn take_columns(characters: impl Iterator<Item = char>, columns: usize) -> Vec<char> {
    let mut used = 0;
    let mut buffer = [0; 4];
    characters
        .take_while(|character| {
            used += width(character.encode_utf8(&mut buffer));
            used <= columns
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_both_ends() {
        assert_eq!(fit_middle("test[db=postgres,arch=amd64]", 13), "test[d…amd64]");
        assert_eq!(fit_middle("short", 13), "short");
        assert_eq!(fit_middle("abcdef", 2), "a…");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(fit_end("日本語テスト", 7), "日本語…");
        assert_eq!(fit_middle("日本語テスト", 7), "日…ト");
        assert_eq!(pad("日本", 6), "日本  ");
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrap("Ship it to all  customers?", 10), ["Ship it to", "all", "customers?"]);
        assert_eq!(wrap("a deadbeefdeadbeef b", 6), ["a", "deadbe", "efdead", "beef b"]);
        assert_eq!(wrap("日本語", 1), ["日", "本", "語"], "too wide, and still no end without an end");
        assert!(wrap(" ", 10).is_empty());
    }

    #[test]
    fn nothing_fits_into_nothing() {
        assert_eq!(fit_end("abc", 0), "");
        assert_eq!(fit_end("abc", 1), "…");
    }
}
