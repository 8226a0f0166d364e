//! The extensions of a dialplan as the header of a trace has them.

use serde_json::{Map, Value};

/// Reads the extensions of extensions.conf, with their steps as `priority,application(arguments)`;
/// contexts are not told apart, and other lines are passed over.
pub(super) fn read(text: &str) -> Map<String, Value> {
    let mut extensions = Map::new();
    let mut last = String::new();
    for line in text.lines() {
        let line = line.trim();
        let Some((word, rest)) = line.split_once("=>").or_else(|| line.split_once('=')) else {
            continue;
        };
        let step = match word.trim() {
            "exten" => {
                let Some((name, step)) = rest.split_once(',') else {
                    continue;
                };
                name.trim().clone_into(&mut last);
                step
            }
            "same" => rest,
            _ => continue,
        };
        let steps = extensions
            .entry(last.clone())
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(steps) = steps {
            steps.push(step.trim().into());
        }
    }
    extensions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_go_to_their_extension() {
        let text = "[default]\n; a remark\nexten => 1014,1,Answer()\n same => n,Wait(3600)\nexten=_app-.,1,Stasis(${EXTEN:4},1)\n";
        let expected = serde_json::json!({
            "1014": ["1,Answer()", "n,Wait(3600)"],
            "_app-.": ["1,Stasis(${EXTEN:4},1)"],
        });
        assert_eq!(Value::from(read(text)), expected);
        assert!(read("").is_empty());
    }
}
