//! Paths with slashes: Go's packages `path` and, the same on the systems we run on, `path/filepath`.

/// The last element. `.` for the empty path, `/` for one of slashes only.
pub(super) fn base(path: &[u8]) -> &[u8] {
    if path.is_empty() {
        return b".";
    }
    let end = path.len() - path.iter().rev().take_while(|b| **b == b'/').count();
    if end == 0 {
        return b"/";
    }
    let start = path[..end].iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
    &path[start..end]
}

/// All but the last element, cleaned.
pub(super) fn dir(path: &[u8]) -> Vec<u8> {
    let end = path.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
    clean(&path[..end])
}

/// The suffix of the last element from its last dot on.
pub(super) fn ext(path: &[u8]) -> &[u8] {
    let name = path.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
    path[name..].iter().rposition(|b| *b == b'.').map_or(b"", |dot| &path[name + dot..])
}

pub(super) fn is_abs(path: &[u8]) -> bool {
    path.starts_with(b"/")
}

/// The shortest path of the same meaning, by text alone: no doubled slashes, no `.`, no `..` where it can be resolved.
pub(super) fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = is_abs(path);
    let mut elements: Vec<&[u8]> = Vec::new();
    for element in path.split(|b| *b == b'/') {
        match element {
            b"" | b"." => {}
            b".." => match elements.last() {
                Some(last) if *last != b".." => {
                    elements.pop();
                }
                _ if rooted => {}
                _ => elements.push(element),
            },
            name => elements.push(name),
        }
    }
    let joined = elements.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", &joined[..]].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}
