//! The words of an expression's text.

use super::literal;
use super::mistake::Found;
use super::number::Number;

/// A word, with its place.
#[derive(Clone, Debug)]
pub(super) struct Token<'t> {
    pub(super) word: Word<'t>,
    pub(super) place: (usize, usize),
}

#[derive(Clone, Debug)]
pub(super) enum Word<'t> {
    Name(&'t str),
    Number(Number),
    Text(Box<str>),
    /// An operator or a bracket.
    Mark(&'static str),
    End,
}

/// Longer ones first.
const MARKS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "+", "-", "*", "/", "%", "(", ")", "[", "]",
    "{", "}", ".", ",", ":", "?",
];

/// Words of other languages, and what to write.
const INSTEAD: [(&str, &str); 3] =
    [("=", "to compare, write =="), ("&", "write &&"), ("|", "write ||")];

#[derive(Clone, Debug)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn next(&mut self) -> Result<Token<'t>, Found> {
        self.pass_blanks();
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(Token { word: Word::End, place: (start, start) });
        };
        let second = rest.as_bytes().get(1).copied().unwrap_or(0);
        let is_number = first.is_ascii_digit() || (first == '.' && second.is_ascii_digit());
        let word = if is_number {
            self.number()?
        } else if literal::begins_text(rest) {
            let (text, length) = literal::text(rest).map_err(|slip| self.slip(&slip))?;
            self.at = start.saturating_add(length);
            Word::Text(text)
        } else if first.is_ascii_alphabetic() || first == '_' {
            Word::Name(self.take(|letter| letter.is_ascii_alphanumeric() || letter == '_'))
        } else if let Some(mark) = MARKS.into_iter().find(|mark| rest.starts_with(mark)) {
            self.at = start.saturating_add(mark.len());
            Word::Mark(mark)
        } else {
            return Err(self.stranger(first));
        };
        Ok(Token { word, place: (start, self.at) })
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn pass_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len().saturating_sub(rest.trim_start().len());
            let comment =
                if rest.starts_with("//") { rest.find('\n').unwrap_or(rest.len()) } else { 0 };
            if blank == 0 && comment == 0 {
                return;
            }
            self.at = self.at.saturating_add(blank.max(comment));
        }
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let length = rest.find(|letter| !belongs(letter)).unwrap_or(rest.len());
        self.at = self.at.saturating_add(length);
        rest.get(..length).unwrap_or_default()
    }

    fn number(&mut self) -> Result<Word<'t>, Found> {
        let start = self.at;
        let mut before = ' ';
        let length = self
            .rest()
            .find(|letter: char| {
                let is_sign = matches!(letter, '+' | '-') && matches!(before, 'e' | 'E');
                before = letter;
                !(letter.is_ascii_alphanumeric() || letter == '.' || letter == '_' || is_sign)
            })
            .unwrap_or(self.rest().len());
        let digits = self.rest().get(..length).unwrap_or_default();
        self.at = start.saturating_add(length);
        literal::number(digits).map(Word::Number).ok_or_else(|| {
            Found::new(self.text, (start, self.at), format!("'{digits}' is not a number"))
        })
    }

    fn slip(&self, slip: &literal::Slip) -> Found {
        let place = |offset: usize| self.at.saturating_add(offset);
        Found::new(self.text, (place(slip.from), place(slip.to)), slip.message)
    }

    fn stranger(&self, first: char) -> Found {
        let place = (self.at, self.at.saturating_add(first.len_utf8()));
        let instead = INSTEAD.iter().find(|(word, _)| self.rest().starts_with(word));
        let message = match instead {
            Some((word, hint)) => format!("'{word}' is no operator here: {hint}"),
            None if first.is_alphabetic() => format!(
                "{first:?} cannot stand in a name here: such names stand in brackets and quotes, as in \
                 event.data[\"größe\"]"
            ),
            None => format!("{first:?} cannot stand here"),
        };
        Found::new(self.text, place, message)
    }
}
