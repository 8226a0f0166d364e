//! Names, sentences and layout.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// `sendDTMF` as `send_dtmf`.
pub(super) fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (place, letter) in letters.iter().enumerate() {
        let after_lower = place > 0 && letters[place - 1].is_ascii_lowercase();
        let before_lower = letters.get(place + 1).is_some_and(char::is_ascii_lowercase);
        let after_upper = place > 0 && letters[place - 1].is_ascii_uppercase();
        if letter.is_ascii_uppercase() && (after_lower || after_upper && before_lower) {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// `send_dtmf` as `SendDtmf`.
pub(super) fn pascal(snake: &str) -> String {
    let mut pascal = String::with_capacity(snake.len());
    for word in snake.split('_') {
        let mut letters = word.chars();
        pascal.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        pascal.push_str(letters.as_str());
    }
    pascal
}

/// Name of a member in Rust.
pub(super) fn field(json: &str) -> &str {
    if json == "type" { "kind" } else { json }
}

/// The item of `List[Item]` and whether it was a list.
pub(super) fn list_item(kind: &str) -> (&str, bool) {
    match kind
        .strip_prefix("List[")
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(item) => (item, true),
        None => (kind, false),
    }
}

/// ` (since Asterisk 12.0.0)`, or nothing.
pub(super) fn since(versions: &[String]) -> String {
    if versions.is_empty() {
        String::new()
    } else {
        format!(" (since {})", versions.join(", "))
    }
}

/// A sentence with something in parentheses before its full stop.
pub(super) fn with_note(sentence: &str, note: &str) -> String {
    match sentence.strip_suffix('.') {
        Some(sentence) => format!("{sentence}{note}."),
        None => format!("{sentence}{note}"),
    }
}

/// A slice of versions; one that is not three numbers does not compile.
pub(super) fn versions(texts: &[String]) -> String {
    let versions: Vec<_> = texts
        .iter()
        .map(|text| format!("Version::new({})", text.replace('.', ", ")))
        .collect();
    format!("&[{}]", versions.join(", "))
}

/// The `use` declarations for those of these paths whose last name occurs in the source.
pub(super) fn imports(source: &str, paths: &[&str]) -> String {
    let code = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let words: BTreeSet<&str> = code
        .flat_map(|line| line.split(|letter: char| !letter.is_alphanumeric() && letter != '_'))
        .collect();
    let used = paths.iter().filter(|path| {
        path.rsplit("::")
            .next()
            .is_some_and(|name| words.contains(name))
    });
    // Root of the path, then module, then names; a name right below the root has no module.
    let mut roots: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for path in used {
        let (root, rest) = path.split_once("::").unwrap_or((path, ""));
        let (module, name) = rest.rsplit_once("::").unwrap_or(("", rest));
        roots
            .entry(root)
            .or_default()
            .entry(module)
            .or_default()
            .insert(name);
    }
    // What is both a module and imported by itself is its module's `self`.
    for modules in roots.values_mut() {
        let alone = modules.remove("").unwrap_or_default();
        for name in alone {
            match modules.get_mut(name) {
                Some(names) => names.insert("self"),
                None => modules.entry(name).or_default().insert(""),
            };
        }
    }
    let order = |root: &str| match root {
        "std" => 0,
        "crate" | "super" => 2,
        _ => 1,
    };
    let mut lines = String::new();
    for group in 0..3 {
        let before = lines.len();
        for (root, modules) in roots.iter().filter(|(root, _)| order(root) == group) {
            let modules: Vec<String> = modules
                .iter()
                .map(|(module, names)| tree(module, names))
                .collect();
            let _ = writeln!(lines, "use {};", braced(root, &modules));
        }
        if lines.len() > before {
            lines.push('\n');
        }
    }
    lines
}

fn tree(module: &str, names: &BTreeSet<&str>) -> String {
    if names.len() == 1 && names.contains("") {
        return module.to_owned();
    }
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    braced(module, &names)
}

fn braced(before: &str, after: &[String]) -> String {
    match after {
        [only] if only != "self" => format!("{before}::{only}"),
        several => format!("{before}::{{{}}}", several.join(", ")),
    }
}

/// Runs rustfmt over a source.
pub(super) fn format(source: &str, folder: &Path) -> Result<String> {
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run rustfmt (`rustup component add rustfmt` installs it)")?;
    // rustfmt reads all of its input before it writes, so this cannot block on a full pipe.
    if let Some(mut input) = rustfmt.stdin.take() {
        input.write_all(source.as_bytes())?;
    }
    let output = rustfmt.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt refused the generated source:\n{source}");
    }
    String::from_utf8(output.stdout).context("rustfmt wrote something else than UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_case() {
        for (name, expected) in [
            ("sendDTMF", "send_dtmf"),
            ("absorbDTMF", "absorb_dtmf"),
            ("continueInDialplan", "continue_in_dialplan"),
            ("getChannelVar", "get_channel_var"),
            ("offsetms", "offsetms"),
            ("RESTResponse", "rest_response"),
            ("refer_to", "refer_to"),
        ] {
            assert_eq!(snake(name), expected);
        }
        assert_eq!(pascal("send_dtmf"), "SendDtmf");
    }

    #[test]
    fn only_what_is_used_is_imported() {
        let paths = [
            "crate::call::Call",
            "crate::Other",
            "crate::operation",
            "crate::operation::Method",
            "std::fmt",
        ];
        let source = "Call Method operation fmt";
        let expected = "use std::fmt;\n\nuse crate::{call::Call, operation::{Method, self}};\n\n";
        assert_eq!(imports(source, &paths), expected);
    }
}
