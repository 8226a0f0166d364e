//! What the event filter of an application can say beside JSON.

use serde_json::{Value, json};

use super::{applications::Filter, list::TextList};

impl Filter {
    /// Lets only events of these types through.
    pub fn allow(self, types: impl Into<TextList>) -> Self {
        self.types("allowed", types.into())
    }

    /// Keeps events of these types away; this goes before [`allow`](Self::allow).
    pub fn disallow(self, types: impl Into<TextList>) -> Self {
        self.types("disallowed", types.into())
    }

    fn types(mut self, member: &str, types: TextList) -> Self {
        let types: Vec<Value> = types
            .into_iter()
            .map(|name| json!({ "type": name }))
            .collect();
        self.call
            .insert("filter", member.to_owned(), Value::from(types));
        self
    }
}
