//! A Git pack read in memory: nothing is written, everything is counted.
//!
//! `gix-pack` reads packs into files beside an index. A controller wants one tree of one commit, for a moment, from a
//! server it need not trust: so the pack stays bytes, objects are inflated when they are needed, and each byte that
//! comes out of it is taken from a budget. The format is that of Git's `gitformat-pack`; entry headers, object ids and
//! collision-checked hashes are gix's.

use flate2::{Decompress, FlushDecompress, Status};
use gix::ObjectId;
use gix::hash::Kind::Sha1;
use gix::objs::Kind;
use gix::odb::pack::data::{Entry, entry::Header};
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use thiserror::Error;

/// What a pack may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) objects_max: u32,
    /// Larger objects are left out; whoever asks for one hears [`PackError::ObjectTooLarge`].
    pub(super) object_bytes_max: u64,
    /// All bytes that are inflated or put together from deltas, again and again if need be.
    pub(super) work_bytes_max: u64,
}

/// Git itself makes chains of at most 4095 deltas.
const CHAIN_MAX: usize = 4095;
const HASH_BYTES: usize = 20;

#[derive(Debug, Error)]
pub(super) enum PackError {
    #[error("the pack is corrupt: {0}")]
    Corrupt(&'static str),
    #[error("the pack holds {found} objects, more than {limit}")]
    TooManyObjects { found: u32, limit: u32 },
    #[error("the pack inflates to more than {limit} bytes")]
    TooMuchWork { limit: u64 },
    #[error("object {id} is larger than {limit} bytes")]
    ObjectTooLarge { id: ObjectId, limit: u64 },
    #[error("object {id} is not in the pack")]
    ObjectMissing { id: ObjectId },
}

/// A pack and where its objects are.
pub(super) struct Pack {
    bytes: Vec<u8>,
    entries: Vec<Slot>,
    by_id: HashMap<ObjectId, usize>,
    holds_oversize: bool,
    budget: Budget,
}

/// Counts the bytes that are inflated or put together, against the budget.
pub(super) struct Work {
    left: Cell<u64>,
    limit: u64,
}

impl Work {
    pub(super) fn new(budget: Budget) -> Self {
        Work { left: Cell::new(budget.work_bytes_max), limit: budget.work_bytes_max }
    }

    fn charge(&self, bytes: u64) -> Result<(), PackError> {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.ok_or(PackError::TooMuchWork { limit: self.limit })?);
        Ok(())
    }
}

struct Slot {
    content: SlotContent,
    data_start: usize,
    /// Inflated size: of the object, or of the delta.
    size: u64,
}

#[derive(Clone, Copy)]
enum SlotContent {
    Object(Kind),
    /// The index of the base, once it is known.
    Delta {
        base: Option<usize>,
    },
}

/// Children that wait for their base, by how they name it.
struct Waiting {
    by_entry: HashMap<usize, Vec<usize>>,
    by_id: HashMap<ObjectId, Vec<usize>>,
}

impl Pack {
    /// Finds all objects of a pack and checks its own checksum.
    ///
    /// Deltas against objects outside the pack stay unresolved: nothing that was asked for may need them.
    pub(super) fn read(bytes: Vec<u8>, budget: Budget) -> Result<Pack, PackError> {
        let body_end = bytes.len().checked_sub(HASH_BYTES).ok_or(PackError::Corrupt("it is too short"))?;
        let mut hasher = gix::hash::hasher(Sha1);
        hasher.update(&bytes[..body_end]);
        let found = hasher.try_finalize().map_err(|_| PackError::Corrupt("its checksum is a forgery"))?;
        if found.as_slice() != &bytes[body_end..] {
            return Err(PackError::Corrupt("its checksum does not fit"));
        }
        let header = bytes[..body_end].first_chunk::<12>().ok_or(PackError::Corrupt("it has no header"))?;
        let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        if &header[..4] != b"PACK" || !matches!(word(4), 2 | 3) {
            return Err(PackError::Corrupt("it is not a pack of version 2 or 3"));
        }
        let count = word(8);
        if count > budget.objects_max {
            return Err(PackError::TooManyObjects { found: count, limit: budget.objects_max });
        }
        let mut pack = Pack { bytes, entries: Vec::new(), by_id: HashMap::new(), holds_oversize: false, budget };
        let work = Work::new(budget);
        let waiting = pack.scan(count, body_end, &work)?;
        pack.resolve(waiting, &work)?;
        Ok(pack)
    }

    /// What it takes in memory, about.
    pub(super) fn size_bytes(&self) -> u64 {
        const PER_ENTRY: usize = 96;
        (self.bytes.len() + self.entries.len() * PER_ENTRY) as u64
    }

    /// An object's kind and bytes.
    pub(super) fn object(&self, id: ObjectId, work: &Work) -> Result<(Kind, Vec<u8>), PackError> {
        let Some(&index) = self.by_id.get(&id) else {
            return Err(match self.holds_oversize {
                true => PackError::ObjectTooLarge { id, limit: self.budget.object_bytes_max },
                false => PackError::ObjectMissing { id },
            });
        };
        let mut deltas: Vec<&Slot> = Vec::new();
        let mut index = index;
        loop {
            let slot = &self.entries[index];
            match slot.content {
                SlotContent::Object(kind) => {
                    let mut data = self.inflate(slot, work)?;
                    for delta in deltas.iter().rev() {
                        data = self.apply(&data, &self.inflate(delta, work)?, work)?;
                    }
                    return Ok((kind, data));
                }
                SlotContent::Delta { base } => {
                    deltas.push(slot);
                    index = base.ok_or(PackError::ObjectMissing { id })?;
                }
            }
        }
    }

    /// Walks over all entries once: where they are, and the ids of those that are no deltas.
    fn scan(&mut self, count: u32, body_end: usize, work: &Work) -> Result<Waiting, PackError> {
        let mut waiting = Waiting { by_entry: HashMap::new(), by_id: HashMap::new() };
        let mut by_offset: HashMap<u64, usize> = HashMap::new();
        let mut offset = 12usize;
        for index in 0..count as usize {
            let rest = self.bytes.get(offset..body_end).filter(|rest| !rest.is_empty());
            let rest = rest.ok_or(PackError::Corrupt("it ends before its last object"))?;
            let entry = Entry::from_bytes(rest, offset as u64, Sha1)
                .map_err(|_| PackError::Corrupt("an object's header is unreadable"))?;
            let data_start = usize::try_from(entry.data_offset)
                .ok()
                .filter(|start| *start <= body_end)
                .ok_or(PackError::Corrupt("an object's header is unreadable"))?;
            let content = match entry.header {
                Header::Commit => SlotContent::Object(Kind::Commit),
                Header::Tree => SlotContent::Object(Kind::Tree),
                Header::Blob => SlotContent::Object(Kind::Blob),
                Header::Tag => SlotContent::Object(Kind::Tag),
                Header::OfsDelta { base_distance } => {
                    let base = (offset as u64).checked_sub(base_distance).and_then(|at| by_offset.get(&at).copied());
                    let base = base.ok_or(PackError::Corrupt("a delta's base is not there"))?;
                    waiting.by_entry.entry(base).or_default().push(index);
                    SlotContent::Delta { base: Some(base) }
                }
                Header::RefDelta { base_id } => {
                    waiting.by_id.entry(base_id).or_default().push(index);
                    SlotContent::Delta { base: None }
                }
            };
            let slot = Slot { content, data_start, size: entry.decompressed_size };
            let (data, data_end) = self.inflate_within(&slot, body_end, work)?;
            match (content, data) {
                (SlotContent::Object(kind), Some(data)) => {
                    self.by_id.insert(object_id(kind, &data)?, index);
                }
                (SlotContent::Object(_) | SlotContent::Delta { .. }, None) => self.holds_oversize = true,
                (SlotContent::Delta { .. }, Some(_)) => {}
            }
            by_offset.insert(offset as u64, index);
            self.entries.push(slot);
            offset = data_end;
        }
        if offset != body_end {
            return Err(PackError::Corrupt("it goes on after its last object"));
        }
        Ok(waiting)
    }

    /// Gives every delta its id, base by base, holding one chain in memory at a time.
    fn resolve(&mut self, mut waiting: Waiting, work: &Work) -> Result<(), PackError> {
        struct Frame {
            kind: Kind,
            data: Rc<Vec<u8>>,
            children: Vec<usize>,
            index: usize,
        }
        let ids: HashMap<usize, ObjectId> = self.by_id.iter().map(|(id, index)| (*index, *id)).collect();
        for root in 0..self.entries.len() {
            let SlotContent::Object(kind) = self.entries[root].content else { continue };
            let Some(id) = ids.get(&root) else { continue };
            let children = waiting.children_of(root, id);
            if children.is_empty() {
                continue;
            }
            let data = Rc::new(self.inflate(&self.entries[root], work)?);
            let mut chain = vec![Frame { kind, data, children, index: root }];
            while let Some(frame) = chain.last_mut() {
                let Some(child) = frame.children.pop() else {
                    chain.pop();
                    continue;
                };
                let (kind, base, base_index) = (frame.kind, Rc::clone(&frame.data), frame.index);
                self.entries[child].content = SlotContent::Delta { base: Some(base_index) };
                let slot = &self.entries[child];
                if slot.size > self.budget.object_bytes_max {
                    continue;
                }
                let delta = self.inflate(slot, work)?;
                let data = match self.apply(&base, &delta, work) {
                    Err(PackError::ObjectTooLarge { .. }) => {
                        self.holds_oversize = true;
                        continue;
                    }
                    other => other?,
                };
                let id = object_id(kind, &data)?;
                self.by_id.insert(id, child);
                let children = waiting.children_of(child, &id);
                if !children.is_empty() {
                    if chain.len() >= CHAIN_MAX {
                        return Err(PackError::Corrupt("a chain of deltas is longer than 4095"));
                    }
                    chain.push(Frame { kind, data: Rc::new(data), children, index: child });
                }
            }
        }
        Ok(())
    }

    fn inflate(&self, slot: &Slot, work: &Work) -> Result<Vec<u8>, PackError> {
        let (data, _) = self.inflate_within(slot, self.bytes.len() - HASH_BYTES, work)?;
        data.ok_or(PackError::Corrupt("an object is larger than allowed"))
    }

    /// Inflates an entry and says where its data ends. An oversize one is passed over without being kept.
    fn inflate_within(&self, slot: &Slot, body_end: usize, work: &Work) -> Result<(Option<Vec<u8>>, usize), PackError> {
        const STEP: usize = 64 << 10;
        const BROKEN: PackError = PackError::Corrupt("an object's data is unreadable");
        let is_kept = slot.size <= self.budget.object_bytes_max;
        work.charge(slot.size)?;
        let mut kept = Vec::new();
        let mut scratch = vec![0u8; STEP.min(usize::try_from(slot.size).unwrap_or(STEP).saturating_add(1))];
        let mut state = Decompress::new(true);
        let input = &self.bytes[..body_end];
        loop {
            let consumed = usize::try_from(state.total_in()).map_err(|_| BROKEN)?;
            let (in_before, out_before) = (state.total_in(), state.total_out());
            let rest = input.get(slot.data_start + consumed..).ok_or(BROKEN)?;
            let status = state.decompress(rest, &mut scratch, FlushDecompress::None).map_err(|_| BROKEN)?;
            let produced = usize::try_from(state.total_out() - out_before).map_err(|_| BROKEN)?;
            if state.total_out() > slot.size {
                return Err(PackError::Corrupt("an object is larger than its header says"));
            }
            if is_kept {
                kept.extend_from_slice(&scratch[..produced]);
            }
            match status {
                Status::StreamEnd if state.total_out() == slot.size => {
                    let consumed = usize::try_from(state.total_in()).map_err(|_| BROKEN)?;
                    return Ok((is_kept.then_some(kept), slot.data_start + consumed));
                }
                Status::StreamEnd => return Err(PackError::Corrupt("an object is smaller than its header says")),
                Status::Ok | Status::BufError if produced == 0 && state.total_in() == in_before => return Err(BROKEN),
                Status::Ok | Status::BufError => {}
            }
        }
    }

    /// Puts an object together from its base and a delta.
    fn apply(&self, base: &[u8], delta: &[u8], work: &Work) -> Result<Vec<u8>, PackError> {
        const BROKEN: PackError = PackError::Corrupt("a delta is unreadable");
        let mut delta = delta.iter().copied();
        if read_size(&mut delta) != Some(base.len() as u64) {
            return Err(PackError::Corrupt("a delta does not fit its base"));
        }
        let size = read_size(&mut delta).ok_or(BROKEN)?;
        if size > self.budget.object_bytes_max {
            return Err(PackError::ObjectTooLarge { id: ObjectId::null(Sha1), limit: self.budget.object_bytes_max });
        }
        work.charge(size)?;
        let size = usize::try_from(size).map_err(|_| BROKEN)?;
        let mut whole = Vec::with_capacity(size);
        while let Some(command) = delta.next() {
            if command & 0x80 != 0 {
                let mut number = |bits: std::ops::Range<u8>| -> Option<usize> {
                    let mut value = 0usize;
                    for (shift, bit) in bits.enumerate() {
                        if command & (1 << bit) != 0 {
                            value |= usize::from(delta.next()?) << (8 * shift);
                        }
                    }
                    Some(value)
                };
                let start = number(0..4).ok_or(BROKEN)?;
                let length = match number(4..7).ok_or(BROKEN)? {
                    0 => 0x10000,
                    length => length,
                };
                let piece = start.checked_add(length).and_then(|end| base.get(start..end)).ok_or(BROKEN)?;
                whole.extend_from_slice(piece);
            } else if command != 0 {
                let before = whole.len();
                whole.extend(delta.by_ref().take(usize::from(command)));
                if whole.len() - before != usize::from(command) {
                    return Err(BROKEN);
                }
            } else {
                return Err(BROKEN);
            }
            if whole.len() > size {
                return Err(PackError::Corrupt("a delta makes more than it says"));
            }
        }
        if whole.len() == size { Ok(whole) } else { Err(PackError::Corrupt("a delta makes less than it says")) }
    }
}

impl Waiting {
    fn children_of(&mut self, index: usize, id: &ObjectId) -> Vec<usize> {
        let mut children = self.by_entry.remove(&index).unwrap_or_default();
        children.extend(self.by_id.remove(id).unwrap_or_default());
        children
    }
}

fn object_id(kind: Kind, data: &[u8]) -> Result<ObjectId, PackError> {
    gix::objs::compute_hash(Sha1, kind, data).map_err(|_| PackError::Corrupt("an object's hash is a forgery"))
}

/// A size as deltas write it: seven bits a byte, the lowest first.
fn read_size(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut size = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = bytes.next()?;
        size |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(size);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const BUDGET: Budget = Budget { objects_max: 100, object_bytes_max: 1 << 20, work_bytes_max: 16 << 20 };

    fn deflate(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn entry(type_id: u8, size: usize, between: &[u8], data: &[u8]) -> Vec<u8> {
        let mut size = size;
        let mut bytes = vec![(type_id << 4) | (size & 0x0f) as u8];
        size >>= 4;
        while size > 0 {
            *bytes.last_mut().unwrap() |= 0x80;
            bytes.push((size & 0x7f) as u8);
            size >>= 7;
        }
        bytes.extend_from_slice(between);
        bytes.extend(deflate(data));
        bytes
    }

    fn pack_of(entries: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"PACK\0\0\0\x02".to_vec();
        bytes.extend((entries.len() as u32).to_be_bytes());
        entries.iter().for_each(|entry| bytes.extend(entry));
        seal(bytes)
    }

    fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
        let mut hasher = gix::hash::hasher(Sha1);
        hasher.update(&bytes);
        let checksum = hasher.try_finalize().unwrap();
        bytes.extend_from_slice(checksum.as_slice());
        bytes
    }

    fn blob_id(data: &[u8]) -> ObjectId {
        object_id(Kind::Blob, data).unwrap()
    }

    #[test]
    fn objects_and_both_kinds_of_deltas_are_found() {
        let base = b"hello world, hello pack";
        // Copy "hello " (offset 0, 6 bytes), insert "git".
        let by_ref = [23, 9, 0x90, 6, 3, b'g', b'i', b't'];
        // Of the 9 bytes made above: copy 6 from offset 0, insert "go".
        let by_offset = [9, 8, 0x90, 6, 2, b'g', b'o'];
        let first = entry(3, base.len(), &[], base);
        let second = entry(7, by_ref.len(), blob_id(base).as_slice(), &by_ref);
        let third = entry(6, by_offset.len(), &[second.len() as u8], &by_offset);
        let pack = Pack::read(pack_of(&[first, second, third]), BUDGET).unwrap();
        for text in [&base[..], b"hello git", b"hello go"] {
            assert_eq!(pack.object(blob_id(text), &Work::new(BUDGET)).unwrap(), (Kind::Blob, text.to_vec()));
        }
        assert!(matches!(pack.object(blob_id(b"other"), &Work::new(BUDGET)), Err(PackError::ObjectMissing { .. })));
    }

    #[test]
    fn what_inflates_beyond_the_budget_is_refused() {
        let zeros = vec![0u8; 1 << 20];
        let bomb: Vec<_> = (0..17).map(|_| entry(3, zeros.len(), &[], &zeros)).collect();
        assert!(pack_of(&bomb).len() < 32 << 10, "it is small on the wire");
        assert!(matches!(Pack::read(pack_of(&bomb), BUDGET), Err(PackError::TooMuchWork { .. })));

        let lying = entry(3, 4, &[], &zeros);
        assert!(matches!(Pack::read(pack_of(&[lying]), BUDGET), Err(PackError::Corrupt(_))));

        let mut many = b"PACK\0\0\0\x02".to_vec();
        many.extend(u32::MAX.to_be_bytes());
        assert!(matches!(Pack::read(seal(many), BUDGET), Err(PackError::TooManyObjects { .. })));
    }

    #[test]
    fn oversize_objects_stop_only_those_who_ask_for_them() {
        let large = vec![7u8; (1 << 20) + 1];
        let pack = Pack::read(pack_of(&[entry(3, large.len(), &[], &large), entry(3, 2, &[], b"ok")]), BUDGET).unwrap();
        assert_eq!(pack.object(blob_id(b"ok"), &Work::new(BUDGET)).unwrap().1, b"ok");
        assert!(matches!(pack.object(blob_id(&large), &Work::new(BUDGET)), Err(PackError::ObjectTooLarge { .. })));
    }

    #[test]
    fn no_mutilated_pack_is_read_and_none_panics() {
        let base = b"hello world, hello pack";
        let delta = [23, 9, 0x90, 6, 3, b'g', b'i', b't'];
        let first = entry(3, base.len(), &[], base);
        let second = entry(6, delta.len(), &[first.len() as u8], &delta);
        let whole = pack_of(&[first, second]);
        let body = &whole[..whole.len() - HASH_BYTES];
        for at in 0..body.len() {
            assert!(Pack::read(whole[..at].to_vec(), BUDGET).is_err(), "cut at {at}");
            assert!(Pack::read(seal(body[..at].to_vec()), BUDGET).is_err(), "cut at {at} and sealed");
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = body.to_vec();
                bytes[at] ^= flip;
                // Some changes leave a readable pack of other objects; what counts is that none panics.
                if let Ok(pack) = Pack::read(seal(bytes), BUDGET) {
                    for id in pack.by_id.keys() {
                        pack.object(*id, &Work::new(BUDGET)).unwrap();
                    }
                }
            }
        }
    }

    #[test]
    fn deltas_that_read_past_their_base_are_refused() {
        let base = b"short";
        for delta in [&[5, 9, 0x91, 3, 9][..], &[4, 1, 1, b'x'], &[5, 1, 0], &[5, 200, 1, 1, b'x'], &[5]] {
            let first = entry(3, base.len(), &[], base);
            let second = entry(6, delta.len(), &[first.len() as u8], delta);
            assert!(matches!(Pack::read(pack_of(&[first, second]), BUDGET), Err(PackError::Corrupt(_))), "{delta:?}");
        }
    }
}
