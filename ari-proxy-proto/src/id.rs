//! Ids that a server makes for what a request did not name.

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Makes an id as the Go server does: a ULID in lower case and a suffix that tells what it is for.
///
/// A UUID of version 7 has its milliseconds where a ULID has them, so it serves as the number.
pub(crate) fn server_id(suffix: &str) -> String {
    let number = uuid::Uuid::now_v7().as_u128();
    let mut id = String::with_capacity(27 + suffix.len());
    for place in (0..26).rev() {
        let digit = usize::try_from(number >> (5 * place) & 31).unwrap_or_default();
        id.push(char::from(ALPHABET[digit]));
    }
    id.push('-');
    id.push_str(suffix);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_form_of_the_go_server() {
        let ids: Vec<_> = std::iter::repeat_with(|| server_id("ch"))
            .take(100)
            .collect();
        for id in &ids {
            assert_eq!(id.len(), 29);
            assert!(id.ends_with("-ch") && id.starts_with("01"), "{id}");
            assert!(
                id[..26].bytes().all(|byte| ALPHABET.contains(&byte)),
                "{id}"
            );
        }
        assert!(ids.is_sorted());
        assert_eq!(
            ids.iter().collect::<std::collections::BTreeSet<_>>().len(),
            100
        );
    }
}
