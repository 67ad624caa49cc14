//! As much of DER as keys and certificates need: writing whole structures, and stepping through what was read.

/// Tags of the types in use.
pub(super) mod tag {
    pub(in crate::sprig) const BOOLEAN: u8 = 0x01;
    pub(in crate::sprig) const INTEGER: u8 = 0x02;
    pub(in crate::sprig) const BIT_STRING: u8 = 0x03;
    pub(in crate::sprig) const OCTET_STRING: u8 = 0x04;
    pub(in crate::sprig) const NULL: u8 = 0x05;
    pub(in crate::sprig) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(in crate::sprig) const UTF8_STRING: u8 = 0x0C;
    pub(in crate::sprig) const PRINTABLE_STRING: u8 = 0x13;
    pub(in crate::sprig) const UTC_TIME: u8 = 0x17;
    pub(in crate::sprig) const GENERALIZED_TIME: u8 = 0x18;
    pub(in crate::sprig) const SEQUENCE: u8 = 0x30;
    pub(in crate::sprig) const SET: u8 = 0x31;

    /// A primitive value whose meaning the place gives: `[0]`, `[1]`…
    pub(in crate::sprig) const fn context(number: u8) -> u8 {
        0x80 | number
    }

    /// A structure whose meaning the place gives.
    pub(in crate::sprig) const fn context_structure(number: u8) -> u8 {
        0xA0 | number
    }
}

/// An element: tag, length, content.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    let length = content.len();
    if length < 0x80 {
        der.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let significant = &bytes[bytes.iter().take_while(|b| **b == 0).count()..];
        der.push(0x80 | significant.len() as u8);
        der.extend_from_slice(significant);
    }
    der.extend_from_slice(content);
    der
}

/// An element made of others.
pub(super) fn structure(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    element(tag, &parts.concat())
}

pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    structure(tag::SEQUENCE, parts)
}

pub(super) fn object_identifier(encoded: &[u8]) -> Vec<u8> {
    element(tag::OBJECT_IDENTIFIER, encoded)
}

pub(super) fn octet_string(content: &[u8]) -> Vec<u8> {
    element(tag::OCTET_STRING, content)
}

/// Whole bytes as a bit string.
pub(super) fn bit_string(content: &[u8]) -> Vec<u8> {
    structure(tag::BIT_STRING, &[&[0], content])
}

/// A number that is not negative, from its bytes, highest first.
pub(super) fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let significant = &bytes[bytes.iter().take_while(|b| **b == 0).count()..];
    // A leading zero where the number would read as negative, or be nothing.
    let needs_zero = significant.first().is_none_or(|first| *first >= 0x80);
    structure(tag::INTEGER, &[if needs_zero { &[0] } else { &[] }, significant])
}

/// Elements one after the other.
#[derive(Clone)]
pub(super) struct Reader<'d>(&'d [u8]);

/// An element that was read.
#[derive(Clone, Copy)]
pub(super) struct Element<'d> {
    pub(super) tag: u8,
    pub(super) content: &'d [u8],
    /// With tag and length.
    pub(super) whole: &'d [u8],
}

impl<'d> Reader<'d> {
    /// The next element; `None` at the end and where the bytes are no DER.
    pub(super) fn next(&mut self) -> Option<Element<'d>> {
        let (tag, rest) = self.0.split_first()?;
        let (first, mut rest) = rest.split_first()?;
        let mut length = usize::from(*first);
        if length >= 0x80 {
            let (bytes, behind) =
                rest.split_at_checked(length & 0x7F).filter(|(bytes, _)| matches!(bytes.len(), 1..=4))?;
            length = bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            rest = behind;
        }
        let (content, behind) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - behind.len()];
        self.0 = behind;
        Some(Element { tag: *tag, content, whole })
    }

    /// The next element if it has that tag; otherwise nothing is passed.
    pub(super) fn next_if(&mut self, tag: u8) -> Option<Element<'d>> {
        let mut ahead = self.clone();
        let element = ahead.next().filter(|element| element.tag == tag)?;
        *self = ahead;
        Some(element)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'d> Element<'d> {
    /// The elements within.
    pub(super) fn parts(&self) -> Reader<'d> {
        Reader(self.content)
    }
}

/// The elements within the one structure the bytes are.
pub(super) fn open_sequence(der: &[u8]) -> Option<Reader<'_>> {
    let mut reader = Reader(der);
    let sequence = reader.next_if(tag::SEQUENCE)?;
    reader.is_at_end().then(|| sequence.parts())
}
