//! `Location.near`: within a distance of a place on the globe
//! (<https://hl7.org/fhir/R4/location.html#search>, `latitude|longitude|distance|units`).

use super::unit::Scale;
use crate::fhir::Node;

/// The mean radius of the earth, in metres.
const RADIUS: f64 = 6_371_008.8;

/// What is near where no distance is said, in metres.
const NEAR: f64 = 50_000.0;

/// A place: its latitude in degrees, for the index, and where it is on a globe of radius 1, so that
/// neither engine needs trigonometry to tell a distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Degrees to the north.
    pub latitude: f64,
    /// Towards longitude 0.
    pub x: f64,
    /// Towards longitude 90.
    pub y: f64,
    /// Towards the north pole.
    pub z: f64,
}

/// Within a distance of a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearTest {
    /// The place.
    pub place: Place,
    /// How many degrees of latitude the distance is at most.
    pub degrees: f64,
    /// The square of the chord that the distance spans on a globe of radius 1.
    pub chord: f64,
}

impl Place {
    /// A place by its degrees.
    pub fn at(latitude: f64, longitude: f64) -> Option<Place> {
        let real = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        let (up, around) = (latitude.to_radians(), longitude.to_radians());
        real.then(|| Place {
            latitude,
            x: up.cos() * around.cos(),
            y: up.cos() * around.sin(),
            z: up.sin(),
        })
    }

    /// A `Location.position`.
    pub(super) fn of(position: &Node) -> Option<Place> {
        let degrees = |name: &str| -> Option<f64> { position.get(name)?.number()?.parse().ok() };
        Place::at(degrees("latitude")?, degrees("longitude")?)
    }
}

impl NearTest {
    /// Reads the parts of a value: latitude, longitude, distance and its unit (kilometres where none is
    /// said).
    pub fn parse(parts: &[&str]) -> Option<NearTest> {
        let number = |text: &&str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
        let (place, rest) = match parts {
            [latitude, longitude, rest @ ..] => {
                (Place::at(number(latitude)?, number(longitude)?)?, rest)
            }
            _ => return None,
        };
        let metres = |unit: &str| match unit {
            "" => Some(1_000.0),
            unit => {
                let scale = Scale::of(unit).filter(|scale| &*scale.dimension == "m1")?;
                Some(scale.put(1.0))
            }
        };
        let distance = match rest {
            [] | [""] | ["", _] => NEAR,
            [distance] => number(distance)? * 1_000.0,
            [distance, unit] => number(distance)? * metres(unit)?,
            _ => return None,
        };
        if distance < 0.0 {
            return None;
        }
        let angle = (distance / RADIUS).min(std::f64::consts::PI);
        let half = (angle / 2.0).sin();
        Some(NearTest {
            place,
            // A little more than enough: the chord tells.
            degrees: angle.to_degrees() + 1e-6,
            chord: 4.0 * half * half,
        })
    }

    /// Whether a place is that near. The store writes the same comparison in SQL.
    pub fn matches(&self, place: &Place) -> bool {
        let by = |one: f64, other: f64| (one - other) * (one - other);
        let own = &self.place;
        by(place.x, own.x) + by(place.y, own.y) + by(place.z, own.z) <= self.chord
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: &str, latitude: f64, longitude: f64) -> bool {
        let parts: Vec<&str> = value.split('|').collect();
        let place = Place::at(latitude, longitude).unwrap();
        NearTest::parse(&parts).unwrap().matches(&place)
    }

    #[test]
    fn distances_are_those_of_the_globe() {
        // Los Angeles to San Francisco: 559 km.
        let (latitude, longitude) = (37.7749, -122.4194);
        assert!(near("34.0522|-118.2437|560|km", latitude, longitude));
        assert!(!near("34.0522|-118.2437|558|km", latitude, longitude));
        assert!(near("34.0522|-118.2437|348|[mi_i]", latitude, longitude));
        assert!(!near("34.0522|-118.2437|346|[mi_i]", latitude, longitude));
        assert!(near("34.0522|-118.2437|560", latitude, longitude));
        assert!(!near("34.0522|-118.2437", latitude, longitude));
        // Over the date line, and at a pole where longitudes meet.
        assert!(near("0|179.9|30|km", 0.0, -179.9));
        assert!(near("89.99|0|3|km", 89.99, 180.0));
        assert!(near("10|20|0|km", 10.0, 20.0));
        assert!(near("10|20|30000|km", -80.0, 3.0));
        assert!(near("10|20|100|m", 10.0008, 20.0));
        assert!(!near("10|20|100|m", 10.001, 20.0));
    }

    #[test]
    fn what_is_no_place_or_distance_is_refused() {
        for value in [
            "",
            "1",
            "x|1",
            "91|0",
            "0|181",
            "1|2|x",
            "1|2|-3",
            "1|2|3|kg",
            "1|2|3|km|4",
            "1|2|NaN",
        ] {
            let parts: Vec<&str> = value.split('|').collect();
            assert_eq!(NearTest::parse(&parts), None, "{value}");
        }
    }
}
