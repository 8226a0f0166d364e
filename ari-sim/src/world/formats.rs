//! Formats that Asterisk has: of media, and of files.

/// Formats of media by the names under which Asterisk knows them.
const MEDIA: &[&str] = &[
    "codec2", "g723", "ulaw", "alaw", "gsm", "g726", "g726aal2", "adpcm", "slin", "slin12",
    "slin16", "slin24", "slin32", "slin44", "slin48", "slin96", "slin192", "lpc10", "g729",
    "speex", "speex16", "speex32", "ilbc", "g722", "siren7", "siren14", "g719", "opus", "jpeg",
    "png", "h261", "h263", "h263p", "h264", "h265", "mpeg4", "vp8", "vp9", "red", "t140", "t38",
    "silk8", "silk12", "silk16", "silk24", "testlaw", "none",
];

/// The format of media that a name means, in whatever case it is written.
pub(crate) fn format_named(name: &str) -> Option<&'static str> {
    MEDIA
        .iter()
        .copied()
        .find(|known| known.eq_ignore_ascii_case(name))
}

/// The extensions of the files that Asterisk reads and writes.
const FILES: &[&str] = &[
    "wav", "wav16", "WAV", "wav49", "gsm", "ulaw", "pcm", "ul", "mu", "ulw", "alaw", "al", "alw",
    "au", "g722", "sln", "raw", "sln12", "sln16", "sln24", "sln32", "sln44", "sln48", "sln96",
    "sln192", "g719", "g723", "g723sf", "g726-16", "g726-24", "g726-32", "g726-40", "g729", "h263",
    "h264", "ilbc", "siren7", "siren14", "vox",
];

/// Whether Asterisk has a format of files with this extension.
pub(crate) fn is_file_format(extension: &str) -> bool {
    FILES.contains(&extension)
}
