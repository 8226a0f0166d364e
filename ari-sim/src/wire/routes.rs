//! From a path to its operations: the tree of segments that Asterisk walks.

use std::sync::LazyLock;

use ari_core::{Answer, Method, OperationSpec, registry};

use super::text;

/// One segment of a path.
#[derive(Debug, Default)]
pub(crate) struct Node {
    segment: &'static str,
    /// It stands for a parameter.
    wildcard: bool,
    children: Vec<Self>,
    operations: Vec<&'static OperationSpec>,
    websocket: bool,
}

static ROOT: LazyLock<Node> = LazyLock::new(|| {
    let mut root = Node::default();
    for &operation in registry::OPERATIONS {
        let mut node = &mut root;
        for segment in operation.path.split('/').skip(1) {
            node = node.child(segment);
        }
        if operation.answer == Answer::Events {
            node.websocket = true;
        } else {
            node.operations.push(operation);
        }
    }
    root
});

/// A path that exists, and the parameters in it.
#[derive(Debug)]
pub(crate) struct Route {
    node: &'static Node,
    pub(crate) arguments: Vec<(&'static str, String)>,
}

impl Node {
    fn child(&mut self, segment: &'static str) -> &mut Self {
        let inner = segment
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'));
        let name = inner.unwrap_or(segment);
        let known = self
            .children
            .iter()
            .position(|child| child.segment == name && child.wildcard == inner.is_some());
        let place = known.unwrap_or_else(|| {
            self.children.push(Self {
                segment: name,
                wildcard: inner.is_some(),
                ..Self::default()
            });
            self.children.len() - 1
        });
        &mut self.children[place]
    }
}

impl Route {
    /// Finds a path, without a slash before it; `None`: there is no such path.
    ///
    /// The walk ends at the first empty segment. A parameter that was passed over for a name that is
    /// spelled out is come back to when that leads no further.
    pub(crate) fn find(path: &str) -> Option<Self> {
        let mut node: &'static Node = &ROOT;
        let mut arguments: Vec<(&'static str, String)> = Vec::new();
        let mut passed_over: Option<&'static Node> = None;
        for segment in path.split('/').take_while(|segment| !segment.is_empty()) {
            let segment = text::decode(segment);
            let mut found = None;
            for child in &node.children {
                if child.wildcard {
                    // The first value of a name stays.
                    if arguments.iter().all(|(known, _)| *known != child.segment) {
                        arguments.push((child.segment, segment.clone()));
                    }
                    passed_over = Some(child);
                } else if child.segment == segment {
                    found = Some(child);
                    break;
                }
            }
            node = found.or_else(|| passed_over.take())?;
        }
        Some(Self { node, arguments })
    }

    /// Whether it is the WebSocket's.
    pub(crate) const fn is_websocket(&self) -> bool {
        self.node.websocket
    }

    pub(crate) fn operation(&self, method: &str) -> Option<&'static OperationSpec> {
        let mut operations = self.node.operations.iter();
        operations
            .find(|operation| operation.method.as_str() == method)
            .copied()
    }

    /// Its methods, `OPTIONS` first.
    pub(crate) fn methods(&self) -> String {
        let mut methods = String::from("OPTIONS");
        for method in [Method::Get, Method::Post, Method::Put, Method::Delete] {
            if self.operation(method.as_str()).is_some() {
                methods.push(',');
                methods.push_str(method.as_str());
            }
        }
        methods
    }
}

#[cfg(test)]
mod tests {
    use super::Route;

    #[test]
    fn every_operation_is_found_by_its_path() {
        for operation in ari_core::registry::OPERATIONS {
            let route = Route::find(&operation.path[1..]).expect(operation.path);
            if operation.answer == ari_core::Answer::Events {
                assert!(route.is_websocket());
                continue;
            }
            let found = route.operation(operation.method.as_str());
            assert_eq!(found, Some(*operation), "{operation}");
        }
    }

    #[test]
    fn methods_are_those_of_the_path() {
        for (path, methods) in [
            ("", "OPTIONS"),
            ("/channels", "OPTIONS"),
            ("channels", "OPTIONS,GET,POST"),
            ("channels//x", "OPTIONS,GET,POST"),
            ("channels/x/answer", "OPTIONS,POST"),
            ("events", "OPTIONS"),
            ("events/user", "OPTIONS"),
            ("channels/create", "OPTIONS,POST"),
        ] {
            assert_eq!(Route::find(path).expect(path).methods(), methods, "{path}");
        }
        assert!(Route::find("nosuch").is_none());
        assert!(Route::find("channels/x/nosuch").is_none());
    }

    #[test]
    fn a_parameter_is_come_back_to() {
        let route = Route::find("channels/externalMedia/answer").expect("a channel");
        assert_eq!(route.arguments, [("channelId", "externalMedia".to_owned())]);
        assert_eq!(route.methods(), "OPTIONS,GET,POST,DELETE");
    }
}
