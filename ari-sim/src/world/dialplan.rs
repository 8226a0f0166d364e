//! A dialplan: what runs the far halves of Local channels, and channels that left Stasis.

use std::collections::BTreeMap;

/// The dialplan that a world has unless it is given another.
///
/// Extensions that answer, ring, are busy or play something, and `app-NAME`, which enters the Stasis
/// application NAME.
const STANDARD: &str = include_str!("extensions.conf");

/// Contexts with their extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialplan {
    contexts: BTreeMap<String, Vec<Extension>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Extension {
    /// As written, with the underscore of a pattern.
    name: String,
    steps: BTreeMap<i64, Step>,
}

/// One priority of an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) label: Option<String>,
    pub(crate) app: String,
    pub(crate) data: String,
}

/// A line of a dialplan that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialplanError {
    line: usize,
    text: String,
}

impl std::fmt::Display for DialplanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "line {} of the dialplan is no extension: {}",
            self.line, self.text
        )
    }
}

impl std::error::Error for DialplanError {}

impl Dialplan {
    /// The extensions that every world has.
    pub fn standard() -> Self {
        Self::parse(STANDARD).unwrap_or_default()
    }

    /// Reads what `extensions.conf` writes: contexts, `exten =>` and `same =>` lines, comments.
    ///
    /// # Errors
    /// A line is neither.
    pub fn parse(text: &str) -> Result<Self, DialplanError> {
        let mut dialplan = Self::default();
        let mut context = "default".to_owned();
        let mut extension = String::new();
        let mut last = 0;
        for (number, raw) in (1..).zip(text.lines()) {
            let line = raw.split(';').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|rest| rest.split(']').next())
            {
                name.clone_into(&mut context);
                continue;
            }
            let refuse = || DialplanError {
                line: number,
                text: line.chars().take(80).collect(),
            };
            let (key, value) = line.split_once('=').ok_or_else(refuse)?;
            let value = value.trim_start_matches('>').trim();
            let rest = match key.trim() {
                "exten" => {
                    let (name, rest) = value.split_once(',').ok_or_else(refuse)?;
                    name.trim().clone_into(&mut extension);
                    last = 0;
                    rest
                }
                "same" => value,
                // Settings of the file and of the context.
                _ if !value.contains('(') => continue,
                _ => return Err(refuse()),
            };
            let (place, call) = rest.split_once(',').ok_or_else(refuse)?;
            let place = place.trim();
            let (place, label) = match place.split_once('(') {
                Some((place, label)) => (place, Some(label.trim_end_matches(')').to_owned())),
                None => (place, None),
            };
            let priority = if place == "n" {
                last + 1
            } else {
                i64::from(place.parse::<u32>().map_err(|_| refuse())?)
            };
            last = priority;
            dialplan.set(&context, &extension, priority, label, call.trim());
        }
        Ok(dialplan)
    }

    /// Adds one priority of an extension, as in `set("default", "1014", 1, "Answer()")`.
    pub fn extension(&mut self, context: &str, name: &str, priority: i64, call: &str) {
        self.set(context, name, priority, None, call);
    }

    fn set(&mut self, context: &str, name: &str, priority: i64, label: Option<String>, call: &str) {
        let (app, data) = match call.split_once('(') {
            Some((app, rest)) => (app.trim(), rest.strip_suffix(')').unwrap_or(rest)),
            None => (call, ""),
        };
        let step = Step {
            label,
            app: app.to_owned(),
            data: data.to_owned(),
        };
        let extensions = self.contexts.entry(context.to_owned()).or_default();
        match extensions.iter_mut().find(|known| known.name == name) {
            Some(known) => {
                known.steps.insert(priority, step);
            }
            None => {
                extensions.push(Extension {
                    name: name.to_owned(),
                    steps: BTreeMap::from([(priority, step)]),
                });
            }
        }
    }

    /// Adds the extensions of another one, in place of those of the same name.
    pub fn add(&mut self, other: Self) {
        for (context, extensions) in other.contexts {
            let known = self.contexts.entry(context).or_default();
            for extension in extensions {
                known.retain(|old| old.name != extension.name);
                known.push(extension);
            }
        }
    }

    fn find(&self, context: &str, name: &str) -> Option<&Extension> {
        let extensions = self.contexts.get(context)?;
        extensions
            .iter()
            .find(|extension| extension.name == name)
            .or_else(|| {
                extensions
                    .iter()
                    .find(|extension| matches(&extension.name, name))
            })
    }

    pub(crate) fn exists(&self, context: &str, name: &str) -> bool {
        self.find(context, name).is_some()
    }

    pub(crate) fn step(&self, context: &str, name: &str, priority: i64) -> Option<&Step> {
        self.find(context, name)?.steps.get(&priority)
    }

    pub(crate) fn label(&self, context: &str, name: &str, label: &str) -> Option<i64> {
        let extension = self.find(context, name)?;
        extension
            .steps
            .iter()
            .find(|(_, step)| step.label.as_deref() == Some(label))
            .map(|(priority, _)| *priority)
    }
}

/// Whether a pattern (`_app-.`, `_X.`, `_1XX`) means this extension.
fn matches(pattern: &str, name: &str) -> bool {
    let Some(pattern) = pattern.strip_prefix('_') else {
        return false;
    };
    let mut name = name.chars();
    let mut pattern = pattern.chars();
    while let Some(expected) = pattern.next() {
        if expected == '!' {
            return true;
        }
        let Some(character) = name.next() else {
            return false;
        };
        let fits = match expected {
            '.' => return true,
            'X' | 'x' => character.is_ascii_digit(),
            'Z' | 'z' => matches!(character, '1'..='9'),
            'N' | 'n' => matches!(character, '2'..='9'),
            '[' => pattern
                .by_ref()
                .take_while(|end| *end != ']')
                .collect::<String>()
                .contains(character),
            literal => literal == character,
        };
        if !fits {
            return false;
        }
    }
    name.next().is_none()
}

/// Puts the values of variables in place of `${NAME}`, `${NAME:4}` and `${NAME:-2}`.
pub(crate) fn substitute(text: &str, value_of: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            out.push_str("${");
            rest = after;
            continue;
        };
        let (name, offset) = match name.split_once(':') {
            Some((name, offset)) => (
                name,
                offset
                    .split(':')
                    .next()
                    .and_then(|text| text.parse::<i64>().ok()),
            ),
            None => (name, None),
        };
        let value = value_of(name);
        let skipped = match offset.unwrap_or(0) {
            offset if offset < 0 => {
                let kept = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
                value.chars().count().saturating_sub(kept)
            }
            offset => usize::try_from(offset).unwrap_or(usize::MAX),
        };
        out.extend(value.chars().skip(skipped));
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_dialplan_is_read_in_full() {
        let dialplan = Dialplan::parse(STANDARD).unwrap();
        let step = dialplan.step("default", "app-welcome", 1).unwrap();
        assert_eq!(
            (&*step.app, &*step.data),
            ("Stasis", "${EXTEN:4},${INSTANCE}")
        );
        assert_eq!(dialplan.step("default", "1014", 2).unwrap().app, "Wait");
        assert_eq!(dialplan.label("default", "1022", "label1"), Some(2));
        assert!(!dialplan.exists("default", "77777"));
        assert!(!dialplan.exists("nocontext", "1014"));
    }

    #[test]
    fn what_is_no_extension_is_named() {
        let error = Dialplan::parse("[default]\nexten => 1,1,Answer()\nnonsense\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 3 of the dialplan is no extension: nonsense"
        );
    }

    #[test]
    fn patterns_match_as_in_asterisk() {
        for (pattern, name, expected) in [
            ("_app-.", "app-x", true),
            ("_app-.", "app-", false),
            ("_1XX", "123", true),
            ("_1XX", "1234", false),
            ("_[13]Z", "39", true),
            ("_[13]Z", "29", false),
            ("_5!", "5", true),
            ("123", "123", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn variables_are_put_in() {
        let value = |name: &str| {
            if name == "EXTEN" {
                "app-shop".to_owned()
            } else {
                String::new()
            }
        };
        assert_eq!(substitute("${EXTEN:4},${NONE}x", value), "shop,x");
        assert_eq!(substitute("${EXTEN:-2}", value), "op");
        assert_eq!(substitute("${EXTEN", value), "${EXTEN");
    }
}
