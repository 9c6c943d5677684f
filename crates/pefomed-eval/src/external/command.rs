//! A command line as words, without a shell.

use super::ExternalError;

/// Splits a command at blanks; single and double quotes keep words together, a backslash before a quote,
/// a blank or a backslash is that character. Nothing else means anything: no variables, no patterns.
pub(super) fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\')
                if letters.peek().is_some_and(|next| matches!(next, '\'' | '"' | '\\' | ' ')) =>
            {
                word.get_or_insert_default().extend(letters.next());
            }
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err("a quote in the command is not closed");
    }
    words.extend(word);
    if words.first().is_none_or(String::is_empty) {
        return Err("there is no command");
    }
    Ok(words)
}

/// Longest name of a scorer, or of one of its scores, in characters.
pub(super) const LONGEST_NAME: usize = 60;

/// Whether a name can stand in a table.
pub(super) fn is_name(name: &str) -> bool {
    !name.trim().is_empty()
        && name.chars().count() <= LONGEST_NAME
        && !name.chars().any(|letter| letter.is_control() || letter == '/')
}

/// Takes `NAME=COMMAND` apart.
pub(super) fn named(text: &str) -> Result<(String, Vec<String>), ExternalError> {
    let refuse = |problem| ExternalError::Option { text: text.to_owned(), problem };
    let (name, command) = text.split_once('=').ok_or_else(|| refuse("it has no `=`"))?;
    if !is_name(name) {
        return Err(refuse("the name is empty, too long, or has a slash or a control character"));
    }
    Ok((name.trim().to_owned(), words(command).map_err(refuse)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_written() {
        let split = |text: &str| words(text).unwrap();
        assert_eq!(split("python score.py --fast"), ["python", "score.py", "--fast"]);
        assert_eq!(split("sh -c 'a | b \"c\"' ''"), ["sh", "-c", "a | b \"c\"", ""]);
        assert_eq!(split(r#"a\ b "c\"d" 'e\f' g\h"#), ["a b", "c\"d", r"e\f", r"g\h"]);
        assert_eq!(split("a$HOME *"), ["a$HOME", "*"]);
        assert!(words("a 'b").is_err() && words("  ").is_err() && words("''").is_err());
    }

    #[test]
    fn options_without_a_name_or_a_command_are_refused() {
        assert_eq!(named("a b=c d").unwrap(), ("a b".to_owned(), vec!["c".into(), "d".into()]));
        for text in ["", "x", "=c", "n=", "n= ", "a/b=c", "a\n=c"] {
            let error = named(text).unwrap_err().to_string();
            assert!(error.contains("NAME=COMMAND"), "{error}");
        }
    }
}
