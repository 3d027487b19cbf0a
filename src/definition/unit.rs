//! The units that OpenTelemetry accepts.

/// The longest unit that OpenTelemetry accepts, in characters.
const LENGTH_MAX: usize = 63;

/// The UCUM spelling of units that contain non-ASCII characters.
const UCUM: [(&str, &str); 8] = [
    ("°C", "Cel"),
    ("℃", "Cel"),
    ("°F", "[degF]"),
    ("µ", "u"),
    ("μ", "u"),
    ("Ω", "Ohm"),
    ("²", "2"),
    ("³", "3"),
];

/// What is wrong with a unit, if anything. OpenTelemetry drops an instrument whose unit has
/// non-ASCII characters, or more than 63 characters (its metrics API, "Instrument unit").
pub(super) fn wrong_unit(unit: &str) -> Option<String> {
    let mut foreign: Vec<_> = unit.chars().filter(|c| !c.is_ascii()).collect();
    foreign.dedup();
    if foreign.is_empty() {
        let length = unit.chars().count();
        return (length > LENGTH_MAX)
            .then(|| format!("has {length} characters; OpenTelemetry takes {LENGTH_MAX}"));
    }
    let written = UCUM.iter().fold(unit.to_owned(), |unit, (foreign, ucum)| {
        unit.replace(foreign, ucum)
    });
    let hint = match written.is_ascii() {
        true => format!("; UCUM writes it `{written}`"),
        false => String::new(),
    };
    let shown: Vec<_> = foreign
        .iter()
        .map(|c| format!("`{c}` (U+{:04X})", u32::from(*c)))
        .collect();
    let (shown, are) = (
        shown.join(", "),
        if shown.len() == 1 { "is" } else { "are" },
    );
    Some(format!(
        "`{unit}` is no unit for OpenTelemetry: {shown} {are} not ASCII{hint}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_short_and_ascii() {
        for unit in ["", "s", "{packet}/min", &"x".repeat(63)] {
            assert_eq!(wrong_unit(unit), None, "{unit}");
        }
        for (unit, expected) in [
            (
                "°C",
                "`°C` is no unit for OpenTelemetry: `°` (U+00B0) is not ASCII; UCUM writes it `Cel`",
            ),
            (
                "µg/m³",
                "`µg/m³` is no unit for OpenTelemetry: `µ` (U+00B5), `³` (U+00B3) are not ASCII; \
                 UCUM writes it `ug/m3`",
            ),
            (
                "€",
                "`€` is no unit for OpenTelemetry: `€` (U+20AC) is not ASCII",
            ),
        ] {
            assert_eq!(wrong_unit(unit).as_deref(), Some(expected));
        }
        let long = wrong_unit(&"x".repeat(64));
        assert_eq!(
            long.as_deref(),
            Some("has 64 characters; OpenTelemetry takes 63")
        );
    }
}
