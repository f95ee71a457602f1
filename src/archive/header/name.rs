//! Names in the ustar block: whole where they fit, and one in place of those that do not.

use tar::Header;

/// Put a name into the header's two fields; false if it does not fit.
pub(super) fn set_name(header: &mut Header, name: &[u8]) -> bool {
    let Some(ustar) = header.as_ustar_mut() else { return false };
    if name.len() <= ustar.name.len() {
        ustar.name[..name.len()].copy_from_slice(name);
        return true;
    }
    // The prefix must not be empty, nor what follows its slash.
    let Some(split) = name
        .iter()
        .enumerate()
        .skip((name.len() - 1).saturating_sub(ustar.name.len()))
        .find(|(at, byte)| **byte == b'/' && *at > 0 && *at + 1 < name.len())
        .map(|(at, _)| at)
    else {
        return false;
    };
    if split > ustar.prefix.len() {
        return false;
    }
    ustar.prefix[..split].copy_from_slice(&name[..split]);
    ustar.name[..name.len() - split - 1].copy_from_slice(&name[split + 1..]);
    true
}

/// A short name in place of a long one, for readers that ignore the extended header: made from a hash of the long one,
/// so that no two files fall together and nothing else in the archive decides about it.
pub(super) fn stand_in(folder: &[u8], name: &[u8], slash: bool) -> Vec<u8> {
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let last = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
    let hash = blake3::hash(name).to_hex();
    let mut short = [folder, b"/", hash[..16].as_bytes(), b"-"].concat();
    let room = 100 - short.len() - usize::from(slash);
    let tail = &last[last.len().saturating_sub(room)..];
    short.extend(tail.iter().map(|byte| if byte.is_ascii_graphic() { *byte } else { b'_' }));
    if slash {
        short.push(b'/');
    }
    short
}
