//! Versions of Asterisk, and what came with which of them.

use std::fmt;

use crate::{
    error::{Error, Result},
    request::Request,
};

/// A release of Asterisk.
///
/// ```
/// use ari_core::Version;
/// let version = Version::parse("20.19.1").unwrap();
/// let branches = [Version::new(20, 20, 0), Version::new(22, 10, 0), Version::new(23, 4, 0)];
/// assert!(!version.has(&branches));
/// assert!(version.has(&[Version::new(13, 26, 0), Version::new(16, 3, 0)]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// The version of these numbers, as in 22.10.1.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Reads the version of a release, as `GET /asterisk/info` gives it.
    ///
    /// A release candidate counts as its release. `None` stands for what is no release: built from a
    /// repository (`GIT-22-6c1f1a4`), certified (`certified-20.7-cert3`, which takes over what later
    /// releases brought), or written as nobody knows. What these have cannot be told.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let end = text
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(text.len());
        let (numbers, suffix) = text.split_at(end);
        // A distribution's own build of a release: 20.6.0~dfsg+~cs6.13.40431414-2build5.
        let is_release = suffix.is_empty()
            || suffix.starts_with(['~', '+'])
            || ["-rc", "-beta", "-alpha", "-pre"]
                .iter()
                .any(|kind| suffix.starts_with(kind));
        if !is_release {
            return None;
        }
        let mut numbers = numbers.split('.').map(|number| number.parse().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        let patch = match numbers.next() {
            Some(patch) => patch?,
            None => 0,
        };
        // A fourth number was given to fixes of old releases (1.8.32.3, 13.38.3.1).
        let rest = numbers.all(|number| number.is_some());
        rest.then_some(Self {
            major,
            minor,
            patch,
        })
    }

    /// Whether it has what came with these releases: the first one of each branch that got it, sorted.
    ///
    /// A branch that is not among them has it if it was begun later: after the newest of them, or after
    /// a release that began a branch with it. Nothing named is in every version.
    pub fn has(&self, since: &[Self]) -> bool {
        let mut newest = None;
        for release in since {
            let begins_branch = release.minor == 0 && release.patch == 0;
            if release.major == self.major || begins_branch && release.major < self.major {
                return self >= release;
            }
            newest = newest.max(Some(release.major));
        }
        newest.is_none_or(|newest| newest < self.major)
    }

    /// Whether a request can be understood by this version.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the operation, or a parameter that is set, came later.
    pub fn check(&self, request: &Request) -> Result<()> {
        let operation = request.operation;
        let unsupported = |what: fmt::Arguments<'_>, since: &'static [Self]| {
            let releases: Vec<_> = since.iter().map(Self::to_string).collect();
            let releases = releases.join(", ");
            Err(Error::Unsupported {
                operation: operation.to_string(),
                reason: format!("{what} came with Asterisk {releases}, and this is {self}"),
                since,
            })
        };
        if !self.has(operation.since) {
            return unsupported(format_args!("it"), operation.since);
        }
        let set = request.parameters.iter();
        let known = set.filter(|(_, value)| !value.is_null());
        let newer = known
            .filter_map(|(name, _)| operation.parameter(name))
            .find(|parameter| !self.has(parameter.since));
        newer.map_or(Ok(()), |parameter| {
            unsupported(format_args!("its {}", parameter.name), parameter.since)
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            major,
            minor,
            patch,
        } = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Metadata, registry};

    #[test]
    fn releases_are_read_and_nothing_else() {
        let cases = [
            ("22.10.1", Some("22.10.1")),
            (" 20.6.0\n", Some("20.6.0")),
            ("22.10", Some("22.10.0")),
            ("20.20.0-rc1", Some("20.20.0")),
            ("22.0.0-pre1", Some("22.0.0")),
            ("23.0.0-beta2", Some("23.0.0")),
            ("13.38.3.1", Some("13.38.3")),
            ("16.28.0~dfsg-0+deb11u4", Some("16.28.0")),
            ("20.6.0~dfsg+~cs6.13.40431414-2build5", Some("20.6.0")),
            ("GIT-22-6c1f1a4", None),
            ("GIT-master-6c1f1a4M", None),
            ("SVN-branch-12-r4000", None),
            ("certified-20.7-cert3", None),
            ("certified/18.9-cert5", None),
            ("18.9-cert5", None),
            ("20.7.0-cert3", None),
            ("22.10.1-14-g6c1f1a4", None),
            ("22", None),
            ("22.", None),
            ("22..1", None),
            (".22.1", None),
            ("22.1.99999999999", None),
            ("22.1.1.", None),
            ("", None),
            ("unknown", None),
            ("٢٢.١٠", None),
        ];
        for (text, wanted) in cases {
            let version = Version::parse(text).map(|version| version.to_string());
            assert_eq!(version.as_deref(), wanted, "{text:?}");
        }
    }

    #[test]
    fn each_branch_has_it_since_its_own_release() {
        let broadcast: &[&str] = &["20.20.0", "22.10.0", "23.4.0"];
        let filter: &[&str] = &["13.26.0", "16.3.0"];
        let media: &[&str] = &["20.16.0", "21.11.0", "22.6.0", "23.0.0"];
        let cases: &[(&str, &[&str], bool)] = &[
            ("20.19.9", broadcast, false),
            ("20.20.0", broadcast, true),
            ("20.20.0-rc1", broadcast, true),
            ("20.21.0", broadcast, true),
            // It never came to 21.
            ("21.12.3", broadcast, false),
            ("22.9.1", broadcast, false),
            ("22.10.1", broadcast, true),
            ("23.3.0", broadcast, false),
            ("23.4.0", broadcast, true),
            ("24.0.0", broadcast, true),
            ("18.26.4", broadcast, false),
            ("13.25.0", filter, false),
            ("13.26.0", filter, true),
            ("14.7.8", filter, false),
            ("15.7.4", filter, false),
            ("16.2.1", filter, false),
            ("16.3.0", filter, true),
            ("17.0.0", filter, true),
            ("12.0.0", &["12.0.0"], true),
            ("11.25.0", &["12.0.0"], false),
            ("13.0.0", &["12.2.0"], true),
            ("22.5.0", media, false),
            ("23.0.0", media, true),
            ("24.1.0", media, true),
            // What began a branch is in every later one, whatever these were given besides.
            ("21.0.0", &["20.0.0", "22.1.0"], true),
            ("1.8.32", &[], true),
        ];
        for (version, since, wanted) in cases {
            let releases: Vec<_> = since
                .iter()
                .map(|text| Version::parse(text).unwrap())
                .collect();
            let has = Version::parse(version).unwrap().has(&releases);
            assert_eq!(has, *wanted, "{version} {since:?}");
        }
    }

    #[test]
    fn a_request_names_what_is_newer() {
        let version = Version::parse("20.6.0").unwrap();
        let request = |resource, name| {
            let operation = registry::operation(resource, name).unwrap();
            Request::new(operation, Metadata::default())
        };
        let claim = request("events", "claimChannel");
        let error = version.check(&claim).unwrap_err();
        let Error::Unsupported { since, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(
            since,
            [(20, 20), (22, 10), (23, 4)].map(|(major, minor)| Version::new(major, minor, 0))
        );
        assert_eq!(
            error.to_string(),
            "POST /events/claim is not supported: it came with Asterisk 20.20.0, 22.10.0, 23.4.0, and this is 20.6.0"
        );
        let set = request("channels", "setChannelVar").with("variable", "A");
        version.check(&set).unwrap();
        version.check(&set.clone().with("added_later", 1)).unwrap();
        let null = serde_json::Value::Null;
        version
            .check(&set.clone().with("report_events", null))
            .unwrap();
        let error = version.check(&set.with("report_events", true)).unwrap_err();
        assert!(
            error.to_string().contains("its report_events came with"),
            "{error}"
        );
    }

    #[test]
    fn the_newest_releases_have_all_of_the_registry() {
        let latest = ["20.21.0", "22.11.0", "23.5.0", "24.0.0"];
        for operation in registry::OPERATIONS {
            let parameters = operation.parameters.iter().map(|known| known.since);
            for since in parameters.chain([operation.since]) {
                for latest in latest {
                    assert!(
                        Version::parse(latest).unwrap().has(since),
                        "{operation}: {latest}"
                    );
                }
            }
        }
    }
}
