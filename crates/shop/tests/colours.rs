//! Every text can be read, in light and in dark: the contrast of the style sheet's tokens, computed as WCAG 2.2 says.

#![allow(clippy::float_arithmetic, reason = "colours, not money")]

const STYLE: &str = include_str!("../assets/base.css");

/// Linear light of red, green and blue.
type Light = [f64; 3];

/// A token's colours in light and in dark.
fn token(name: &str) -> [Light; 2] {
    let start = STYLE
        .find(&format!("--{name}: "))
        .unwrap_or_else(|| panic!("no token {name}"));
    let value = STYLE[start..].split(';').next().expect("a value ends");
    let colours: Vec<_> = value
        .split("oklch(")
        .skip(1)
        .map(|rest| oklch(rest.split(')').next().expect("closed")))
        .collect();
    match *colours {
        [one] => [one, one],
        [light, dark] => [light, dark],
        _ => panic!("{value} is no colour or pair of colours"),
    }
}

/// `L% C H` of OKLCH to linear sRGB, by the matrices of CSS Color 4.
fn oklch(text: &str) -> Light {
    let numbers: Vec<f64> = text
        .split_whitespace()
        .map(|n| n.trim_end_matches('%').parse().expect("a number"))
        .collect();
    let [lightness, chroma, hue] = *numbers else {
        panic!("{text} has not three numbers")
    };
    let (lightness, (sin, cos)) = (lightness / 100.0, hue.to_radians().sin_cos());
    let (a, b) = (chroma * cos, chroma * sin);
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
    [
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s,
    ]
}

fn contrast(one: Light, other: Light) -> f64 {
    let luminance = |[r, g, b]: Light| {
        let [r, g, b] = [r, g, b].map(|channel| channel.clamp(0.0, 1.0));
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn black_on_white_is_twenty_one_to_one() {
    let ratio = contrast(oklch("0% 0 0"), oklch("100% 0 0"));
    assert!((ratio - 21.0).abs() < 0.01, "{ratio}");
}

#[test]
fn every_text_has_four_and_a_half_to_one_and_every_border_that_matters_three() {
    let texts = ["ink", "ink-soft", "ink-faint", "accent"].map(|ink| (ink, ["paper", "paper-raised"]));
    let texts = texts
        .into_iter()
        .flat_map(|(ink, papers)| papers.map(|paper| (ink, paper, 4.5)));
    let pairs = ["good", "wait", "bad", "note"].map(|state| (format!("{state}-ink"), state));
    let borders = [
        ("line-strong", "paper", 3.0),
        ("line-strong", "paper-raised", 3.0),
        ("coin-ink", "coin", 4.5),
    ];
    let mut all: Vec<(String, &str, f64)> = texts
        .chain(borders)
        .map(|(a, b, least)| (a.to_owned(), b, least))
        .collect();
    all.extend(pairs.into_iter().map(|(ink, paper)| (ink, paper, 4.5)));
    all.push(("accent-ink".to_owned(), "accent", 4.5));
    for (ink, paper, least) in all {
        for (i, mode) in ["light", "dark"].iter().enumerate() {
            let ratio = contrast(token(&ink)[i], token(paper)[i]);
            assert!(ratio >= least, "{ink} on {paper} in {mode}: {ratio:.2} < {least}");
        }
    }
}
