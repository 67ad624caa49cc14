//! Chart archives: gzipped tar, read in memory, never unpacked to a disk.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use jiff::Timestamp;

use super::{Chart, Error, File, load};

/// How much of an archive, or of a folder, is read before it is refused.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The archive itself.
    pub archive_bytes_max: u64,
    /// All files together, those of archives inside the archive too. Helm: 100 MiB.
    pub unpacked_bytes_max: u64,
    /// One file. Helm v4.3 has no such limit.
    pub file_bytes_max: u64,
    /// Entries, folders included.
    pub entries_max: u64,
    /// How many times larger than its archive the content may be, once it is larger than
    /// [`Limits::RATIO_FREE_BYTES`].
    pub ratio_max: u64,
    /// Charts within charts within charts.
    pub depth_max: u64,
}

impl Limits {
    /// Content up to this size may be packed as well as it will.
    pub const RATIO_FREE_BYTES: u64 = 16 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            archive_bytes_max: 20 << 20,
            unpacked_bytes_max: 100 << 20,
            file_bytes_max: 20 << 20,
            entries_max: 20_000,
            ratio_max: 200,
            depth_max: 16,
        }
    }
}

/// What may still be read, shared by an archive and the archives inside it.
pub(super) struct Budget<'l> {
    limits: &'l Limits,
    bytes_left: u64,
    entries_left: u64,
}

impl<'l> Budget<'l> {
    pub(super) fn new(limits: &'l Limits) -> Self {
        Budget { limits, bytes_left: limits.unpacked_bytes_max, entries_left: limits.entries_max }
    }

    pub(super) fn check_depth(&self, depth: u64) -> Result<(), Error> {
        if depth <= self.limits.depth_max { Ok(()) } else { Err(too_large(self.limits.depth_max, "nested charts")) }
    }

    fn take_entry(&mut self) -> Result<(), Error> {
        self.entries_left =
            self.entries_left.checked_sub(1).ok_or_else(|| too_large(self.limits.entries_max, "entries"))?;
        Ok(())
    }

    /// Takes one entry of a file of this size.
    pub(super) fn take_file(&mut self, bytes: u64) -> Result<(), Error> {
        self.take_entry()?;
        self.take_bytes(bytes)
    }

    fn take_bytes(&mut self, bytes: u64) -> Result<(), Error> {
        if bytes > self.limits.file_bytes_max {
            return Err(too_large(self.limits.file_bytes_max, "bytes in one file"));
        }
        self.bytes_left = self
            .bytes_left
            .checked_sub(bytes)
            .ok_or_else(|| too_large(self.limits.unpacked_bytes_max, "unpacked bytes"))?;
        Ok(())
    }
}

fn too_large(limit: u64, unit: &'static str) -> Error {
    Error::TooLarge { limit, unit }
}

/// Reads a chart from the bytes of a `.tgz`.
///
/// # Errors
/// The bytes are no gzipped tar, go past a limit, hold links, devices or paths outside the chart, or what they hold is
/// no valid chart.
pub fn load_archive(bytes: &[u8], limits: &Limits) -> Result<Chart, Error> {
    let mut budget = Budget::new(limits);
    let files = unpack(bytes, &mut budget)?;
    load::from_files(files, &mut budget, 0)
}

/// The files of a `.tgz` by their paths within the chart, those of archives within it packed.
///
/// # Errors
/// As [`load_archive`], but for what the files hold.
pub fn archive_files(bytes: &[u8], limits: &Limits) -> Result<Vec<File>, Error> {
    unpack(bytes, &mut Budget::new(limits))
}

/// The files of an archive, without the name of its top folder.
pub(super) fn unpack(bytes: &[u8], budget: &mut Budget<'_>) -> Result<Vec<File>, Error> {
    if bytes.len() as u64 > budget.limits.archive_bytes_max {
        return Err(too_large(budget.limits.archive_bytes_max, "archive bytes"));
    }
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(Error::NotAnArchive(io::Error::other("no gzip header")));
    }
    let (tar, damage) = inflate(bytes, budget)?;
    let mut archive = tar::Archive::new(Inflated { tar: Cursor::new(&tar), damage });
    let mut files = Vec::new();
    for entry in archive.entries_with_seek().map_err(Error::DamagedArchive)? {
        let entry = entry.map_err(Error::DamagedArchive)?;
        let Some(path) = check_entry(&entry)? else {
            budget.take_entry()?;
            continue;
        };
        let (start, size) = (entry.raw_file_position(), entry.size());
        budget.take_file(size)?;
        let range = usize::try_from(start).ok().zip(usize::try_from(start.saturating_add(size)).ok());
        let range = range.filter(|(_, end)| *end <= tar.len());
        let cut_off = || Error::DamagedArchive(io::ErrorKind::UnexpectedEof.into());
        let (start, end) = range.ok_or_else(cut_off)?;
        let modified = entry.header().mtime().ok().and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
        files.push(File { name: path, data: without_byte_order_mark(tar.slice(start..end)), modified });
    }
    if files.is_empty() { Err(Error::EmptyArchive) } else { Ok(files) }
}

/// The tar inside an archive as a whole, so that files share its bytes instead of being copied out of it.
///
/// Where the archive is damaged this is what comes before, and then the damage: it does not matter behind the end mark
/// of the tar.
fn inflate(packed: &[u8], budget: &Budget<'_>) -> Result<(Bytes, Option<io::Error>), Error> {
    let limits = budget.limits;
    let ratio_bytes_max = (packed.len() as u64).saturating_mul(limits.ratio_max).max(Limits::RATIO_FREE_BYTES);
    // Padding and headers count too, so that an archive of nothing but headers ends as well.
    let overhead_bytes_max = budget.entries_left.saturating_mul(ENTRY_OVERHEAD_BYTES);
    let bytes_max = ratio_bytes_max.min(budget.bytes_left.saturating_add(overhead_bytes_max));
    // The last four bytes tell the size, if they are true.
    let told = packed.last_chunk().map_or(0, |size| u64::from(u32::from_le_bytes(*size)));
    let size_told = usize::try_from(told.min(bytes_max)).unwrap_or_default();
    let (tar, damage) = read_sized(MultiGzDecoder::new(packed).take(bytes_max.saturating_add(1)), size_told);
    match tar.len() as u64 {
        size if size > ratio_bytes_max => Err(too_large(limits.ratio_max, "times its packed size")),
        size if size > bytes_max => Err(too_large(limits.unpacked_bytes_max, "unpacked bytes")),
        _ => Ok((tar.into(), damage)),
    }
}

/// All that a reader gives, or what it gives before it fails, and how it fails. It is fastest where the size is as told.
fn read_sized(mut reader: impl Read, size_told: usize) -> (Vec<u8>, Option<io::Error>) {
    // Large memory comes from the system as zeros, so this writes nothing, as `read_to_end` would before each read. One
    // byte more, so that there is room when the end is asked for.
    let mut bytes = vec![0; size_told + 1];
    let mut size = 0;
    loop {
        match reader.read(&mut bytes[size..]) {
            Ok(0) if size == bytes.len() => {
                let failure = reader.read_to_end(&mut bytes).err();
                return (bytes, failure);
            }
            Ok(0) => {
                bytes.truncate(size);
                return (bytes, None);
            }
            Ok(more) => size += more,
            Err(failure) => {
                bytes.truncate(size);
                return (bytes, Some(failure));
            }
        }
    }
}

/// What an entry takes in a tar besides its content: its header, one for a long name, and padding.
const ENTRY_OVERHEAD_BYTES: u64 = 2048;

/// A tar in memory, behind the end of which damage may stand.
struct Inflated<'t> {
    tar: Cursor<&'t Bytes>,
    damage: Option<io::Error>,
}

impl Read for Inflated<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.tar.read(buffer)? {
            0 => self.damage.take().map_or(Ok(0), Err),
            size => Ok(size),
        }
    }
}

impl Seek for Inflated<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.tar.seek(to)
    }
}

/// The path of an entry within the chart, or `None` for an entry that is no file (a folder, a comment).
fn check_entry<R: Read>(entry: &tar::Entry<'_, R>) -> Result<Option<String>, Error> {
    let raw = entry.path_bytes();
    let illegal = |problem| Error::IllegalEntry { path: String::from_utf8_lossy(&raw).into_owned(), problem };
    let entry_type = entry.header().entry_type();
    if entry_type.is_dir() || entry_type.is_pax_global_extensions() || raw.ends_with(b"/") {
        return Ok(None);
    }
    if entry_type.is_symlink() || entry_type.is_hard_link() {
        return Err(illegal("is a link"));
    }
    if !(entry_type.is_file() || entry_type.is_contiguous()) {
        return Err(illegal("is neither a file nor a folder"));
    }
    let path = std::str::from_utf8(&raw).map_err(|_| illegal("has a name that is not UTF-8"))?;
    relative_path(path).map(Some).map_err(illegal)
}

/// The path without the archive's top folder, cleaned, or why it is refused.
fn relative_path(path: &str) -> Result<String, &'static str> {
    let delimiter = if path.contains('\\') { '\\' } else { '/' };
    let (top, rest) = path.split_once(delimiter).unwrap_or((path, ""));
    let rest = rest.replace(delimiter, "/");
    if rest.starts_with('/') {
        return Err("has an absolute path");
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in rest.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => return Err("is outside the chart"),
            ".." => {}
            part => parts.push(part),
        }
    }
    let drive = rest.as_bytes();
    if drive.len() > 2 && drive[0].is_ascii_alphabetic() && &drive[1..3] == b":/" {
        return Err("has an absolute path");
    }
    if top == "Chart.yaml" {
        return Err("is not in a base folder");
    }
    if parts.is_empty() {
        return Err("is outside the base folder");
    }
    if parts[0].starts_with("..") || parts.iter().any(|part| part.contains('\0')) {
        return Err("has an illegal name");
    }
    Ok(parts.join("/"))
}

/// The data without the byte order mark some editors write.
pub(super) fn without_byte_order_mark(data: Bytes) -> Bytes {
    if data.starts_with(b"\xef\xbb\xbf") { data.slice(3..) } else { data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const CHART: &str = "apiVersion: v2\nname: web\nversion: 1.0.0\n";

    /// Packs entries; a name may be anything, so it is written into the header past the checks of the crate.
    fn pack(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, entry_type, data) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*entry_type);
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append(&header, *data).unwrap();
        }
        gzip(&tar.into_inner().unwrap())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn chart_with(name: &str, entry_type: tar::EntryType, data: &[u8]) -> Result<Chart, Error> {
        let archive = pack(&[("web/Chart.yaml", tar::EntryType::Regular, CHART.as_bytes()), (name, entry_type, data)]);
        load_archive(&archive, &Limits::default())
    }

    #[test]
    fn paths_outside_the_chart_are_refused() {
        for name in
            ["web/../../x", "web//etc/x", "web/C:/x", "web/a/../../x", "web\\..\\..\\x", "web/..x", "x", "Chart.yaml"]
        {
            let error = chart_with(name, tar::EntryType::Regular, b"x").unwrap_err();
            assert!(matches!(error, Error::IllegalEntry { .. }), "{name}: {error}");
        }
    }

    #[test]
    fn links_and_devices_are_refused() {
        for entry_type in [
            tar::EntryType::Symlink,
            tar::EntryType::Link,
            tar::EntryType::Char,
            tar::EntryType::Block,
            tar::EntryType::Fifo,
        ] {
            let error = chart_with("web/Chart.lock", entry_type, b"").unwrap_err();
            assert!(matches!(error, Error::IllegalEntry { .. }), "{entry_type:?}: {error}");
        }
    }

    #[test]
    fn paths_are_cleaned() {
        let chart = chart_with("web/./docs//a/../b.md", tar::EntryType::Regular, b"\xef\xbb\xbftext").unwrap();
        assert_eq!(chart.files[0].name, "docs/b.md");
        assert_eq!(&chart.files[0].data[..], b"text");
    }

    #[test]
    fn limits_are_kept() {
        let limits = Limits { entries_max: 2, ..Limits::default() };
        let file = tar::EntryType::Regular;
        let many = pack(&[("web/Chart.yaml", file, CHART.as_bytes()), ("web/a", file, b""), ("web/b", file, b"")]);
        assert!(matches!(load_archive(&many, &limits), Err(Error::TooLarge { unit: "entries", .. })));

        let limits = Limits { file_bytes_max: 10, ..Limits::default() };
        assert!(matches!(load_archive(&many, &limits), Err(Error::TooLarge { unit: "bytes in one file", .. })));

        // 40 MiB of zeros pack into 40 KiB.
        let zeros = vec![0; 10 << 20];
        let bomb =
            pack(&[("web/a", file, &zeros), ("web/b", file, &zeros), ("web/c", file, &zeros), ("web/d", file, &zeros)]);
        assert!(load_archive(&bomb, &Limits::default()).is_err());
    }

    #[test]
    fn sizes_told_need_not_be_true() {
        for told in [0, 1, 4, 5, 6, 1000] {
            let (bytes, failure) = read_sized(&b"bytes"[..], told);
            assert_eq!((bytes.as_slice(), failure.is_none()), (&b"bytes"[..], true), "{told}");
            let cut = gzip(b"bytes");
            let (bytes, failure) = read_sized(MultiGzDecoder::new(&cut[..cut.len() - 1]), told);
            assert_eq!((bytes.as_slice(), failure.is_some()), (&b"bytes"[..], true), "{told}");
        }
    }

    #[test]
    fn garbage_is_no_archive() {
        let limits = Limits::default();
        assert!(matches!(load_archive(b"", &limits), Err(Error::NotAnArchive(_))));
        assert!(matches!(load_archive(b"name: web", &limits), Err(Error::NotAnArchive(_))));
        assert!(load_archive(&gzip(b"not a tar"), &limits).is_err());
        assert!(matches!(load_archive(&gzip(&[0; 1024]), &limits), Err(Error::EmptyArchive)));
        let whole = pack(&[("web/Chart.yaml", tar::EntryType::Regular, CHART.as_bytes())]);
        // What follows the end mark of the tar is not looked at, here as in Go.
        for end in 0..whole.len() / 2 {
            assert!(load_archive(&whole[..end], &limits).is_err(), "cut at {end}");
        }
        assert_eq!(load_archive(&whole[..whole.len() - 4], &limits).unwrap().name(), "web");
    }
}
