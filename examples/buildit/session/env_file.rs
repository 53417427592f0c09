//! `--env-file`: lines of `NAME=VALUE`.

/// The variables of a file. Empty lines and those that begin with `#` say nothing; a leading `export` is passed
/// over; a value in quotes loses them, and in double quotes `\n`, `\"`, `\\` and `\$` mean what they do in a shell.
///
/// # Errors
///
/// The number of the first line that cannot be read, from 1, and why.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, String)>, (usize, &'static str)> {
    let mut variables = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let (name, value) = line.split_once('=').ok_or((number, "there is no `=`"))?;
        let name = name.trim_end();
        if name.is_empty() || name.contains(|character: char| character.is_whitespace() || character == '\0') {
            return Err((number, "that is no name of a variable"));
        }
        variables.push((name.to_owned(), unquote(value.trim_start()).ok_or((number, "a quote is not closed"))?));
    }
    Ok(variables)
}

fn unquote(value: &str) -> Option<String> {
    if let Some(rest) = value.strip_prefix('\'') {
        return rest.strip_suffix('\'').map(str::to_owned);
    }
    let Some(rest) = value.strip_prefix('"') else { return Some(value.to_owned()) };
    let mut text = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return characters.as_str().trim().is_empty().then_some(text),
            '\\' => match characters.next()? {
                'n' => text.push('\n'),
                escaped @ ('"' | '\\' | '$') => text.push(escaped),
                other => text.extend(['\\', other]),
            },
            character => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_are_read() {
        let text = "# comment\n\nA=1\nexport B = two words\nC='$x \\n'\nD=\"a\\n\\\"b\\\" \\$x\"\nE=\nF=a=b\n";
        let read = parse(text).unwrap();
        let read: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [("A", "1"), ("B", "two words"), ("C", "$x \\n"), ("D", "a\n\"b\" $x"), ("E", ""), ("F", "a=b")];
        assert_eq!(read, expected);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        assert_eq!(parse("A=1\nnonsense").unwrap_err().0, 2);
        assert_eq!(parse("A=\"open").unwrap_err().0, 1);
        assert_eq!(parse("A B=1").unwrap_err().0, 1);
    }
}
