//! Blur by box filters: twice a box of radius r has a deviation of √(2·((2r+1)²−1)/12), about r for small r.

use crate::picture::Picture;

/// Blurs twice with a box of this radius in pixels, along rows and columns; edges repeat.
pub(super) fn twice(picture: &mut Picture, radius: usize) {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let mut other = vec![0; picture.rgb.len()];
    for _ in 0..2 {
        rows(&picture.rgb, &mut other, width, radius);
        columns(&other, &mut picture.rgb, width, height, radius);
    }
}

/// 2¹⁶ / (2r+1), rounded up so that white stays white.
fn share(radius: usize) -> u32 {
    (65536 / (2 * radius as u32 + 1)) + 1
}

fn rows(from: &[u8], to: &mut [u8], width: usize, radius: usize) {
    let share = share(radius);
    for (source, target) in from.chunks_exact(width * 3).zip(to.chunks_exact_mut(width * 3)) {
        let (source, target) = (source.as_chunks::<3>().0, target.as_chunks_mut::<3>().0);
        let at = |x: usize| source[x.saturating_sub(radius).min(width - 1)];
        // `at` counts from −radius: `at(x + radius)` is the pixel x.
        let mut sum = [0_u32; 3];
        for x in 0..=2 * radius {
            add(&mut sum, at(x));
        }
        for (x, pixel) in target.iter_mut().enumerate() {
            *pixel = sum.map(|sum| ((sum * share) >> 16).min(255) as u8);
            add(&mut sum, at(x + 2 * radius + 1));
            for (sum, old) in sum.iter_mut().zip(at(x)) {
                *sum -= u32::from(old);
            }
        }
    }
}

fn add(sum: &mut [u32; 3], pixel: [u8; 3]) {
    for (sum, value) in sum.iter_mut().zip(pixel) {
        *sum += u32::from(value);
    }
}

fn columns(from: &[u8], to: &mut [u8], width: usize, height: usize, radius: usize) {
    let share = share(radius);
    let row = |y: usize| {
        let y = y.saturating_sub(radius).min(height - 1);
        &from[y * width * 3..(y + 1) * width * 3]
    };
    let mut sums = vec![0_u32; width * 3];
    for y in 0..=2 * radius {
        for (sum, &value) in sums.iter_mut().zip(row(y)) {
            *sum += u32::from(value);
        }
    }
    for (y, target) in to.chunks_exact_mut(width * 3).enumerate() {
        for (((value, sum), &new), &old) in target.iter_mut().zip(&mut sums).zip(row(y + 2 * radius + 1)).zip(row(y)) {
            *value = ((*sum * share) >> 16).min(255) as u8;
            *sum = *sum + u32::from(new) - u32::from(old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_picture_stays_as_it_is_and_a_point_spreads_evenly() {
        let mut white = Picture { width: 9, height: 7, rgb: vec![255; 9 * 7 * 3] };
        twice(&mut white, 2);
        assert!(white.rgb.iter().all(|&value| value == 255));
        let mut point = Picture { width: 21, height: 21, rgb: vec![0; 21 * 21 * 3] };
        point.rgb[(10 * 21 + 10) * 3] = 255;
        twice(&mut point, 1);
        let red = |x: usize, y: usize| point.rgb[(y * 21 + x) * 3];
        assert!(red(10, 10) > red(11, 10) && red(11, 10) == red(9, 10) && red(10, 11) == red(11, 10) && red(13, 10) == 0);
    }
}
