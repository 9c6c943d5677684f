//! Words that say on which side something is. Where a text has one, its image must not be mirrored.
//!
//! The words are those of the languages that data sets here come in: English, Spanish, French, Italian,
//! and Chinese, whose words are not parted by blanks. Abbreviations of radiology are among them. Words
//! for both sides ("bilateral"), or for the other one ("contralateral"), stay true in a mirror. What a
//! text means without such a word ("the heart points to the wrong side") is not found.

/// Whole words, in lower case.
const WORDS: &[&str] = &[
    // English.
    "left",
    "lefts",
    "right",
    "rights",
    "leftmost",
    "rightmost",
    "leftward",
    "leftwards",
    "rightward",
    "rightwards",
    "lefthand",
    "righthand",
    "leftsided",
    "rightsided",
    "dextral",
    "sinistral",
    "dextroposition",
    "dextrocardia",
    "levocardia",
    "dextroscoliosis",
    "levoscoliosis",
    "dextroconvex",
    "levoconvex",
    "dextrocurvature",
    "levocurvature",
    // Sides, lobes, quadrants and ventricles, abbreviated.
    "l",
    "r",
    "lt",
    "rt",
    "rul",
    "rml",
    "rll",
    "lul",
    "lll",
    "luq",
    "llq",
    "ruq",
    "rlq",
    "lv",
    "rv",
    "lvh",
    "rvh",
    "lca",
    "rca",
    "lvad",
    "rvad",
    // Spanish.
    "izquierda",
    "izquierdo",
    "izquierdas",
    "izquierdos",
    "derecha",
    "derecho",
    "derechas",
    "derechos",
    // French.
    "gauche",
    "gauches",
    "droite",
    "droit",
    "droites",
    "droits",
    // Italian.
    "sinistra",
    "sinistro",
    "sinistre",
    "sinistri",
    "destra",
    "destro",
    "destre",
    "destri",
];

/// Chinese, in simplified and traditional writing alike.
const SIGNS: [char; 2] = ['左', '右'];

/// The first word of a text that names a side, as it is written there.
///
/// ```
/// use pefomed_data::laterality::side_word;
/// assert_eq!(side_word("Is the Left-sided effusion large?"), Some("Left"));
/// assert_eq!(side_word("左肺有结节吗?"), Some("左"));
/// assert_eq!(side_word("Is there a bilateral effusion? It is bright."), None);
/// ```
pub fn side_word(text: &str) -> Option<&str> {
    let mut word_start = None;
    let ends = text.char_indices().chain([(text.len(), ' ')]);
    for (place, letter) in ends {
        if SIGNS.contains(&letter) {
            return Some(&text[place..place + letter.len_utf8()]);
        }
        match (letter.is_alphanumeric(), word_start) {
            (true, None) => word_start = Some(place),
            (false, Some(start)) => {
                let word = &text[start..place];
                // French and Italian articles: "l'immagine".
                let is_article = matches!(letter, '\'' | '’') && word.eq_ignore_ascii_case("l");
                if !is_article && WORDS.contains(&word.to_lowercase().as_str()) {
                    return Some(word);
                }
                word_start = None;
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_found_as_whole_words() {
        for (text, word) in [
            ("Is the right lung clear?", Some("right")),
            ("LEFT", Some("LEFT")),
            ("on the left.", Some("left")),
            ("RLL/LLL", Some("RLL")),
            ("right-sided", Some("right")),
            ("el pulmón izquierdo", Some("izquierdo")),
            ("le poumon droit", Some("droit")),
            ("L'immagine, l’image", None),
            ("Which lobe of the 右肺 is this?", Some("右")),
            ("leftover contrast, brightness, upright, L1 and T2", None),
            ("both sides, bilateral, contralateral", None),
            ("", None),
        ] {
            assert_eq!(side_word(text), word, "{text}");
        }
    }
}
