//! CRC-32C (Castagnoli), eight bytes at a time: the checksum of every stored blob.

/// Reversed polynomial 0x1EDC6F41 (RFC 3720 §12.1).
const POLYNOMIAL: u32 = 0x82f6_3b78;

static TABLES: [[u32; 256]; 8] = tables();

#[allow(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler; both bounds are the arrays' own"
)]
const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ POLYNOMIAL
            } else {
                crc >> 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut slice = 1;
    while slice < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[slice - 1][byte];
            tables[slice][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        slice += 1;
    }
    tables
}

/// Takes `data` into the checksum `crc` of what came before (0 for nothing).
pub(super) fn extend(crc: u32, data: &[u8]) -> u32 {
    let mut crc = !crc;
    let (words, rest) = data.as_chunks::<8>();
    for word in words {
        crc = word_step(crc, *word);
    }
    for byte in rest {
        crc = (crc >> 8) ^ table(0, crc ^ u32::from(*byte));
    }
    !crc
}

fn word_step(crc: u32, [a, b, c, d, e, f, g, h]: [u8; 8]) -> u32 {
    let low = crc ^ u32::from_le_bytes([a, b, c, d]);
    table(7, low)
        ^ table(6, low >> 8)
        ^ table(5, low >> 16)
        ^ table(4, low >> 24)
        ^ table(3, u32::from(e))
        ^ table(2, u32::from(f))
        ^ table(1, u32::from(g))
        ^ table(0, u32::from(h))
}

#[allow(
    clippy::indexing_slicing,
    reason = "the slice is one of eight constants, the byte is masked to 256"
)]
fn table(slice: usize, byte: u32) -> u32 {
    TABLES[slice][(byte & 0xff) as usize]
}

#[cfg(test)]
mod tests {
    use super::extend;

    #[test]
    fn known_values() {
        // RFC 3720 §B.4 and the check value of the CRC catalogue.
        assert_eq!(extend(0, b"123456789"), 0xe306_9283);
        assert_eq!(extend(0, &[0; 32]), 0x8a91_36aa);
        assert_eq!(extend(0, &[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn any_cut_gives_the_same() {
        let data: Vec<u8> = (0..100).map(|i: u8| i.wrapping_mul(37)).collect();
        for cut in 0..data.len() {
            let (front, back) = data.split_at(cut);
            assert_eq!(extend(extend(0, front), back), extend(0, &data));
        }
    }
}
