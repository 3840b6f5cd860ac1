//! Which 32 bytes are an acceptable Ed25519 public key.
//!
//! aws-lc-rs takes any: what is no point it finds out at the first signature, and points of small
//! order it accepts, although for them anybody can make signatures (RFC 8032; eight points).

use super::Flaw;

/// 2^255 - 19, as four little-endian 64-bit digits.
const P: [u64; 4] = [u64::MAX - 18, u64::MAX, u64::MAX, u64::MAX >> 1];

/// The curve's d (RFC 7748, section 4.1).
const D: Field = Field([0x75eb_4dca_1359_78a3, 0x0070_0a4d_4141_d8ab, 0x8cc7_4079_7779_e898, 0x5203_6cee_2b6f_fe73]);

/// The y coordinates of the four points of order eight.
const ORDER_EIGHT: [[u64; 4]; 2] = [
    [0xb027_b2c2_8f95_e826, 0xf098_eff2_89f4_c345, 0x3933_c6d3_05ac_dfd5, 0x05fc_536d_8802_38b1],
    [0x4fd8_4d3d_706a_17c7, 0x0f67_100d_760b_3cba, 0xc6cc_392c_fa53_202a, 0x7a03_ac92_77fd_c74e],
];

/// Refuses what is no canonical encoding of a point of large order on the curve.
pub(super) fn check_public_key(bytes: &[u8]) -> Result<(), Flaw> {
    let bytes: &[u8; 32] = bytes.try_into().map_err(|_| Flaw::WrongLength)?;
    let mut digits = digits(bytes);
    // RFC 8032, section 5.1.2: the top bit is the sign of x, the rest is y.
    digits[3] &= u64::MAX >> 1;
    if !less(&digits, &P) {
        return Err(Flaw::OffCurve);
    }
    let y = Field(digits);
    // Orders one, two and four have y = 1, -1 and 0.
    if y == Field::ZERO || y == Field::ONE || y == Field::ZERO.minus(Field::ONE) || ORDER_EIGHT.contains(&y.0) {
        return Err(Flaw::SmallOrder);
    }
    // x² = (y² - 1) / (d y² + 1), and u / v is a square where u v is.
    let y2 = y.times(y);
    let u = y2.minus(Field::ONE);
    let v = D.times(y2).plus(Field::ONE);
    if u.times(v).is_square() { Ok(()) } else { Err(Flaw::OffCurve) }
}

fn digits(bytes: &[u8; 32]) -> [u64; 4] {
    let mut digits = [0; 4];
    for (digit, chunk) in digits.iter_mut().zip(bytes.chunks_exact(8)) {
        *digit = chunk.iter().rev().fold(0, |digit, byte| digit << 8 | u64::from(*byte));
    }
    digits
}

fn less(a: &[u64; 4], b: &[u64; 4]) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

/// An integer modulo `P`, always reduced. Slow and plain: it is used once for each key.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Field([u64; 4]);

impl Field {
    const ZERO: Self = Self([0; 4]);
    const ONE: Self = Self([1, 0, 0, 0]);

    fn plus(self, other: Self) -> Self {
        // Both are below 2^255, so nothing is carried out of the last digit.
        let (sum, _) = add_scaled(self.0, other.0, 1);
        if less(&sum, &P) { Self(sum) } else { Self(subtract(sum, P)) }
    }

    fn minus(self, other: Self) -> Self {
        if other == Self::ZERO { self } else { self.plus(Self(subtract(P, other.0))) }
    }

    fn times(self, other: Self) -> Self {
        let mut wide = [0; 8];
        for (i, a) in self.0.into_iter().enumerate() {
            let mut carry = 0;
            for (j, b) in other.0.into_iter().enumerate() {
                let sum = u128::from(a) * u128::from(b) + u128::from(wide[i + j]) + carry;
                (wide[i + j], carry) = (sum as u64, sum >> 64);
            }
            wide[i + 4] = carry as u64;
        }
        // 2^256 is 38 modulo P, so the upper half folds onto the lower, and its carry once more.
        let [a, b, c, d, upper @ ..] = wide;
        let (folded, carry) = add_scaled([a, b, c, d], upper, 38);
        let (mut folded, carry) = add_scaled(folded, [carry, 0, 0, 0], 38);
        folded[0] += carry * 38;
        while !less(&folded, &P) {
            folded = subtract(folded, P);
        }
        Self(folded)
    }

    fn squared(self, times: usize) -> Self {
        (0..times).fold(self, |power, _| power.times(power))
    }

    /// Euler's criterion: a square raised to (P - 1) / 2 is one, or zero if it is zero.
    ///
    /// That exponent is 2^254 - 10, or 250 one bits and then 0110. `ones_n` is raised to n one bits.
    fn is_square(self) -> bool {
        let twice_as_many = |ones: Self, count| ones.squared(count).times(ones);
        let ones_2 = twice_as_many(self, 1);
        let ones_4 = twice_as_many(ones_2, 2);
        let ones_5 = ones_4.squared(1).times(self);
        let ones_10 = twice_as_many(ones_5, 5);
        let ones_20 = twice_as_many(ones_10, 10);
        let ones_40 = twice_as_many(ones_20, 20);
        let ones_50 = ones_40.squared(10).times(ones_10);
        let ones_100 = twice_as_many(ones_50, 50);
        let ones_200 = twice_as_many(ones_100, 100);
        let ones_250 = ones_200.squared(50).times(ones_50);
        let power = ones_250.squared(4).times(ones_2.squared(1));
        power == Self::ONE || power == Self::ZERO
    }
}

/// `a + b * scale` and the carry.
fn add_scaled(a: [u64; 4], b: [u64; 4], scale: u64) -> ([u64; 4], u64) {
    let mut sum = [0; 4];
    let mut carry = 0;
    for ((sum, a), b) in sum.iter_mut().zip(a).zip(b) {
        let wide = u128::from(a) + u128::from(b) * u128::from(scale) + carry;
        (*sum, carry) = (wide as u64, wide >> 64);
    }
    (sum, carry as u64)
}

/// `a - b` for `a >= b`.
fn subtract(a: [u64; 4], b: [u64; 4]) -> [u64; 4] {
    let mut difference = [0; 4];
    let mut borrow = false;
    for ((difference, a), b) in difference.iter_mut().zip(a).zip(b) {
        let (partial, first) = a.overflowing_sub(b);
        let (digit, second) = partial.overflowing_sub(u64::from(borrow));
        (*difference, borrow) = (digit, first || second);
    }
    difference
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    #[test]
    fn generated_keys_are_accepted() {
        for seed in 0..20 {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
            assert_eq!(check_public_key(pair.public_key().as_ref()), Ok(()));
        }
    }

    #[test]
    fn points_of_small_order_are_refused_with_either_sign() {
        let bytes = |digits: [u64; 4]| digits.map(u64::to_le_bytes).concat();
        let minus_one = subtract(P, [1, 0, 0, 0]);
        for y in [[0; 4], [1, 0, 0, 0], minus_one, ORDER_EIGHT[0], ORDER_EIGHT[1]] {
            let mut key = bytes(y);
            assert_eq!(check_public_key(&key), Err(Flaw::SmallOrder));
            key[31] |= 0x80;
            assert_eq!(check_public_key(&key), Err(Flaw::SmallOrder));
        }
        // The two of order eight are each other's negatives.
        assert!(Field(ORDER_EIGHT[0]).plus(Field(ORDER_EIGHT[1])) == Field::ZERO);
    }

    #[test]
    fn half_of_all_y_are_on_no_point() {
        let (mut on, mut off) = (0, 0);
        for n in 2..102 {
            let mut key = [0; 32];
            key[0] = n;
            match check_public_key(&key) {
                Ok(()) => on += 1,
                Err(flaw) => {
                    assert_eq!(flaw, Flaw::OffCurve);
                    off += 1;
                }
            }
        }
        assert_eq!(on + off, 100);
        assert!(on > 30 && off > 30, "{on} on the curve, {off} off it");
    }

    #[test]
    fn encodings_beyond_the_field_and_other_lengths_are_refused() {
        for last in 0xed..=0xff {
            let mut key = [0xff; 32];
            key[0] = last;
            assert_eq!(check_public_key(&key), Err(Flaw::OffCurve));
            key[31] = 0x7f;
            assert_eq!(check_public_key(&key), Err(Flaw::OffCurve));
        }
        assert_eq!(check_public_key(&[]), Err(Flaw::WrongLength));
        assert_eq!(check_public_key(&[9; 31]), Err(Flaw::WrongLength));
        assert_eq!(check_public_key(&[9; 33]), Err(Flaw::WrongLength));
    }
}
