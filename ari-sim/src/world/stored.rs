//! Stored recordings.

use std::time::Duration;

use ari_core::Response;

use super::{
    World,
    json::{array, object},
    params::Params,
    reply::{Outcome, Refused, no_content, ok, refuse, refuse_as},
};

/// Bytes of one second of the audio that a file is given.
const BYTES_PER_SECOND: u32 = 16_000;

/// Longest file that is made up, in seconds.
const MAX_FILE_SECONDS: u64 = 60;

#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) format: String,
    pub(crate) length: Duration,
}

fn stored_json(name: &str, stored: &Stored) -> String {
    object(|json| {
        json.text("name", name).text("format", &stored.format);
    })
}

impl World {
    pub(crate) fn list_stored(&self) -> Outcome {
        ok(array(
            self.stored
                .iter()
                .map(|(name, stored)| stored_json(name, stored)),
        ))
    }

    fn stored_named(&self, params: Params<'_>) -> Result<(String, &Stored), Refused> {
        let name = params.text("recordingName").into_owned();
        let stored = self
            .stored
            .get(&name)
            .ok_or_else(|| refuse(404, "Recording not found"))?;
        Ok((name, stored))
    }

    pub(crate) fn get_stored(&self, params: Params<'_>) -> Outcome {
        let (name, stored) = self.stored_named(params)?;
        ok(stored_json(&name, stored))
    }

    pub(crate) fn delete_stored(&mut self, params: Params<'_>) -> Outcome {
        let (name, _) = self.stored_named(params)?;
        self.stored.remove(&name);
        no_content()
    }

    pub(crate) fn copy_stored(&mut self, params: Params<'_>) -> Outcome {
        let (_, stored) = self.stored_named(params)?;
        if !params.has("destinationRecordingName") {
            let message = "Invalid destination recording name";
            return Err(refuse_as(400, "Bad request", message));
        }
        let destination = params.text("destinationRecordingName");
        if destination.split('/').any(|part| part == "..") {
            return Err(refuse(403, "Destination file path is forbidden"));
        }
        if destination.is_empty() || destination.ends_with('/') {
            return Err(refuse(500, "Copy failed"));
        }
        let stored = stored.clone();
        if self.stored.contains_key(&*destination) {
            return Err(refuse(
                409,
                "A recording with the same name already exists on the system",
            ));
        }
        let answer = ok(stored_json(&destination, &stored));
        self.stored.insert(destination.into_owned(), stored);
        answer
    }

    /// The file of a recording: silence of its length, with the header that WAV files have.
    pub(crate) fn stored_file(&self, params: Params<'_>) -> Outcome {
        let (_, stored) = self.stored_named(params)?;
        let seconds = u32::try_from(stored.length.as_secs().min(MAX_FILE_SECONDS)).unwrap_or(0);
        let audio = seconds * BYTES_PER_SECOND;
        let mut file = Vec::with_capacity(44 + audio as usize);
        if stored.format.to_ascii_lowercase().starts_with("wav") {
            file.extend_from_slice(b"RIFF");
            file.extend_from_slice(&(36 + audio).to_le_bytes());
            file.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
            file.extend_from_slice(&(BYTES_PER_SECOND / 2).to_le_bytes());
            file.extend_from_slice(&BYTES_PER_SECOND.to_le_bytes());
            file.extend_from_slice(b"\x02\0\x10\0data");
            file.extend_from_slice(&audio.to_le_bytes());
        }
        file.resize(file.len() + audio as usize, 0);
        Ok(super::reply::Reply::Now(Response::new(200, "OK", file)))
    }
}
