//! The language the tokenizer knows: one row for each kind of token, in order of precedence.
//!
//! The longest match wins, what has to follow the token (its *context*) included; of equally long
//! ones the first row. The rows say what Stanford's `PTBTokenizer` of CoreNLP 3.4.1 does, as told
//! by its documentation and by running it: `tools/goldens/lexical.py` makes the fixtures that they
//! are held against. Letters and digits are those of Unicode 6.0, which that program was built
//! with, and of the Basic Multilingual Plane alone.

use Make::{
    Again, Ampersand, ClosingQuote, Currency, Fixed, Fraction, Hyphens, Initial, Joined, Line,
    OpeningQuote, Skip, Spelled, Split, Text, Word,
};

/// What becomes of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Make {
    /// The text as it stands.
    Text,
    /// The text without soft hyphens.
    Word,
    /// Always the same token.
    Fixed(&'static str),
    /// Quotation marks as LaTeX writes them, opening where the text does not tell.
    OpeningQuote,
    /// Quotation marks as LaTeX writes them, closing where the text does not tell.
    ClosingQuote,
    /// One token with no-break spaces inside.
    Joined,
    /// As `Joined`, with round brackets spelled out.
    Spelled,
    /// `&amp;` becomes `&`.
    Ampersand,
    /// A currency sign, most of them written `$`.
    Currency,
    /// A fraction of one character, spelled out where it is a common one.
    Fraction,
    /// Three or four hyphens become two.
    Hyphens,
    /// The last characters are not part of the token: they are read again.
    Split(usize),
    /// The last character is part of the token, and is read again.
    Again,
    /// An acronym before a word that begins a sentence: a single letter leaves its full stop to be
    /// read again, a longer one keeps it and has it read again.
    Initial,
    /// The end of a line.
    Line,
    /// Nothing.
    Skip,
}

/// Where the token ends in a match that includes its context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// There is no context.
    Match,
    /// The context is so many characters.
    Before(usize),
    /// The context begins with the first blank or end of line.
    Blank,
    /// The context begins with the last apostrophe.
    Apostrophe,
    /// The context begins with the `n` before the last apostrophe.
    Negation,
    /// The context begins after the first full stop.
    FullStop,
}

/// One kind of token.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// Regular expression of the token and its context.
    pub(super) pattern: String,
    /// What becomes of the token.
    pub(super) make: Make,
    /// Where it ends.
    pub(super) end: End,
}

const BLANK: &str = r"[ \t\x{A0}\x{2000}-\x{200A}\x{3000}]";
const SPACE: &str = r"[ \t\x{A0}\x{2000}-\x{200A}\x{3000}\r\n\x{0B}\x{0C}\x{85}\x{2028}\x{2029}]";
const LINE: &str = r"(?:\r\n|[\r\n\x{0B}\x{0C}\x{85}\x{2028}\x{2029}])";
const DIGIT: &str = r"[\p{Nd}&&\p{Age:6.0}&&[\x00-\x{FFFF}]]";
const LETTER: &str = r"[[\p{L}&&\p{Age:6.0}]\x{1885}\x{1886}&&[\x00-\x{FFFF}]]";
/// A letter or a digit.
const ALNUM: &str = r"[[\p{L}\p{Nd}&&\p{Age:6.0}]\x{1885}\x{1886}&&[\x00-\x{FFFF}]]";
const UPPER: &str = r"[[\p{Lu}&&\p{Age:6.0}]\x{2160}-\x{216F}\x{24B6}-\x{24CF}&&[\x00-\x{FFFF}]]";
/// Marks and signs that stand inside the words of many scripts.
const MARK: &str = concat!(
    r"[\x{AD}\x{2C2}-\x{2C5}\x{2D2}-\x{2DF}\x{2E5}-\x{2EB}\x{2ED}\x{2EF}-\x{36F}\x{375}",
    r"\x{378}\x{379}\x{384}\x{385}\x{3F6}\x{483}-\x{487}\x{55A}-\x{55F}\x{591}-\x{5BD}\x{5BF}",
    r"\x{5C1}\x{5C2}\x{5C4}\x{5C5}\x{5C7}\x{615}-\x{61A}\x{64B}-\x{65E}\x{670}\x{6D6}-\x{6E4}",
    r"\x{6E7}-\x{6ED}\x{6FD}\x{6FE}\x{70F}\x{711}\x{730}-\x{74C}\x{7A6}-\x{7B0}\x{7EB}-\x{7F3}",
    r"\x{900}-\x{903}\x{93C}\x{93E}-\x{94E}\x{951}-\x{955}\x{962}\x{963}\x{981}-\x{983}\x{9BC}",
    r"\x{9BE}-\x{9C4}\x{9C7}\x{9C8}\x{9CB}-\x{9CD}\x{9D7}\x{9E2}\x{9E3}\x{A01}-\x{A03}\x{A3C}",
    r"\x{A3E}-\x{A4F}\x{A81}-\x{A83}\x{ABC}\x{ABE}-\x{ACF}\x{B82}\x{BBE}-\x{BC2}",
    r"\x{BC6}-\x{BC8}\x{BCA}-\x{BCD}\x{C01}-\x{C03}\x{C3E}-\x{C56}\x{D3E}-\x{D44}",
    r"\x{D46}-\x{D48}\x{E31}\x{E34}-\x{E3A}\x{E47}-\x{E4E}\x{EB1}\x{EB4}-\x{EBC}",
    r"\x{EC8}-\x{ECD}]",
);
/// Signs that are tokens of their own: mathematics, arrows, bullets, full-width punctuation.
const SIGN: &str = concat!(
    r"[%&+|~^\\\x{A1}\x{A6}-\x{A9}\x{AC}\x{AE}-\x{B4}\x{B6}-\x{B9}\x{BF}\x{D7}\x{F7}\x{37E}",
    r"\x{387}\x{589}\x{5BE}\x{5C0}\x{5C3}\x{5C6}\x{5F3}\x{5F4}\x{600}-\x{603}\x{606}-\x{60A}",
    r"\x{60C}\x{614}\x{61B}\x{61E}\x{61F}\x{66A}\x{66D}\x{6D4}\x{700}-\x{70D}\x{7F6}-\x{7F8}",
    r"\x{964}\x{965}\x{E4F}\x{1FBD}\x{2016}\x{2017}\x{2020}-\x{2023}\x{2030}-\x{2038}\x{203B}",
    r"\x{203E}-\x{2042}\x{2044}\x{207A}-\x{207E}\x{208A}-\x{208E}\x{2100}-\x{214F}",
    r"\x{2190}-\x{2BFF}\x{3002}\x{3012}\x{30FB}\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF20}",
    r"\x{FF3B}-\x{FF40}\x{FF5B}-\x{FF65}.]",
);
const APOSTROPHE: &str = r"(?:['\x{92}\x{2019}]|(?i:&apos;))";
const ANY_APOSTROPHE: &str = r"(?:['`\x{91}\x{92}\x{2018}\x{2019}\x{201B}]|(?i:&apos;))";

/// Any of some words, whatever their case.
fn any(words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    format!("(?i:{})", words.join("|"))
}

/// All rows, the first to win first.
pub(super) fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    splits_and_entities(&mut rules);
    words(&mut rules);
    addresses(&mut rules);
    numbers(&mut rules);
    abbreviations(&mut rules);
    marks(&mut rules);
    compounds(&mut rules);
    rest(&mut rules);
    rules
}

fn push(rules: &mut Vec<Rule>, pattern: impl Into<String>, make: Make, end: End) {
    rules.push(Rule { pattern: pattern.into(), make, end });
}

fn letter() -> String {
    format!("(?:{LETTER}|{MARK}|(?i:&[aeiou](?:acute|grave|uml);))")
}

fn word() -> String {
    let letter = letter();
    format!("{letter}(?:{letter}|{DIGIT})*(?:[.!?]{letter}(?:{letter}|{DIGIT})*)*")
}

/// A number without sign, a time included: `.5`, `1,000`, `3.5`, `12:30`.
fn number() -> String {
    format!(r"(?:{DIGIT}+|{DIGIT}*(?:[.:,\x{{AD}}\x{{66B}}\x{{66C}}]{DIGIT}+)+)")
}

fn auxiliary() -> String {
    format!("{APOSTROPHE}(?:[msdMSD]|(?i:re|ve|ll))")
}

fn negation() -> String {
    format!("(?i:n){ANY_APOSTROPHE}(?i:t)")
}

fn sgml() -> String {
    let name = "[A-Za-z][A-Za-z0-9_:.-]*";
    let value = r#"(?:'[^'\r\n]*'|"[^"\r\n]*")"#;
    format!("<(?:[!?][A-Za-z-][^>\\r\\n]*|{name}(?: +{name}(?: *= *{value})?)* */?|/{name}) *>")
}

fn splits_and_entities(rules: &mut Vec<Rule>) {
    push(rules, r"(?i:c\+\+|[cf]#)", Text, End::Match);
    push(rules, any("cannot 'twas dunno"), Split(3), End::Match);
    push(rules, any("'tis gonna gotta lemme gimme wanna"), Split(2), End::Match);
    push(rules, sgml(), Joined, End::Match);
    push(
        rules,
        r"(?i:&(?:md|mdash|ndash);)|[\x{96}\x{97}\x{2013}-\x{2015}]",
        Fixed("--"),
        End::Match,
    );
    push(rules, any("&amp;"), Ampersand, End::Match);
    push(rules, "(?i:&(?:ht|tl|ur|lr|qc|ql|qr|odq|cdq|#[0-9]+);)", Text, End::Match);
}

/// Words, those that an auxiliary or a negation is split from, and those with an apostrophe.
fn words(rules: &mut Vec<Rule>) {
    let (word, letter) = (word(), LETTER);
    push(rules, format!("{word}{}", auxiliary()), Word, End::Apostrophe);
    push(
        rules,
        format!(r"[A-Za-z\x{{AD}}]*[A-MO-Za-mo-z]\x{{AD}}*{}", negation()),
        Word,
        End::Negation,
    );
    push(rules, word, Word, End::Match);
    let with_apostrophe = [
        format!("{APOSTROPHE}(?i:n){APOSTROPHE}?"),
        format!("[lLdDjJ]{APOSTROPHE}"),
        format!("(?i:dunkin|somethin|ol){APOSTROPHE}"),
        format!("{APOSTROPHE}(?i:em)"),
        format!("[A-HJ-XZn]{ANY_APOSTROPHE}{letter}{letter}+"),
        format!("{APOSTROPHE}[2-9]0(?i:s)"),
        format!("{APOSTROPHE}(?i:till?|cause)"),
        format!("{letter}+[aeiouyAEIOUY]{ANY_APOSTROPHE}[aeiouA-Z]{letter}*"),
        r"(?i:cont'd)\.?".to_owned(),
        any("nor'easter c'mon e'er s'mores ev'ry li'l nat'l"),
        format!("(?i:o){ANY_APOSTROPHE}(?i:o)"),
    ];
    push(rules, with_apostrophe.join("|"), Text, End::Match);
    push(rules, format!("(?i:y){APOSTROPHE}{letter}"), Text, End::Before(1));
}

/// Addresses on the web, of mail, and names of Twitter.
fn addresses(rules: &mut Vec<Rule>) {
    push(
        rules,
        r#"(?i:https?)://[^ \t\n\f\r"<>|(){}]+[^ \t\n\f\r"<>|.!?(){},-]"#,
        Text,
        End::Match,
    );
    push(
        rules,
        concat!(
            r#"(?:(?i:www)\.(?:[^ \t\n\f\r"<>|.!?(){},]+\.)+[a-zA-Z]{2,4}"#,
            r#"|(?:[^ \t\n\f\r"`'<>|.!?(){},-_$]+\.)+(?i:com|net|org|edu))"#,
            r#"(?:/[^ \t\n\f\r"<>|()]+[^ \t\n\f\r"<>|.!?(){},-])?"#,
        ),
        Text,
        End::Match,
    );
    push(
        rules,
        concat!(
            r#"(?:<|(?i:&lt;))?[a-zA-Z0-9][^ \t\n\f\r"<>|()\x{A0}{}]*@"#,
            r#"(?:[^ \t\n\f\r"<>|(){}.\x{A0}]+\.)*[^ \t\n\f\r"<>|(){}.\x{A0}]+(?:>|(?i:&gt;))?"#,
        ),
        Text,
        End::Match,
    );
    push(rules, format!("@[a-zA-Z_][a-zA-Z_0-9]*|#{}+", letter()), Text, End::Match);
    push(rules, format!("{}[^A-Za-z]", auxiliary()), ClosingQuote, End::Before(1));
    push(rules, format!("{}[^A-Za-z]", negation()), ClosingQuote, End::Before(1));
}

fn numbers(rules: &mut Vec<Rule>) {
    let d = DIGIT;
    push(rules, format!("{d}{{1,2}}[-/]{d}{{1,2}}[-/]{d}{{2,4}}"), Text, End::Match);
    push(rules, format!("[-+]?{}", number()), Word, End::Match);
    push(
        rules,
        concat!(
            r"[\x{207A}\x{207B}\x{208A}\x{208B}]?",
            r"(?:[\x{2070}\x{B9}\x{B2}\x{B3}\x{2074}-\x{2079}]+|[\x{2080}-\x{2089}]+)",
        ),
        Text,
        End::Match,
    );
    push(
        rules,
        format!(r"(?:{d}{{1,4}}[- \x{{A0}}])?{d}{{1,4}}(?:\\?/|\x{{2044}}){d}{{1,4}}"),
        Joined,
        End::Match,
    );
    push(rules, r"[\x{BC}\x{BD}\x{BE}\x{2153}-\x{215E}]", Fraction, End::Match);
    push(
        rules,
        format!(
            "{}|(?i:c){APOSTROPHE}(?i:est)|(?i:cap){APOSTROPHE}(?i:n)",
            any(
                r"-(?:RRB|LRB|RCB|LCB|RSB|LSB)- C\.D\.s pro- anti- S(?:&|&amp;)P-500 S(?:&|&amp;)Ls"
            )
        ),
        Ampersand,
        End::Match,
    );
    push(
        rules,
        r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2}",
        Text,
        End::Match,
    );
    push(rules, r"[A-Z]*\$|#", Text, End::Match);
    push(
        rules,
        r"[\x{80}\x{A2}-\x{A5}\x{60B}\x{E3F}\x{20A0}\x{20A4}\x{20AC}\x{FFE0}\x{FFE1}\x{FFE5}\x{FFE6}]",
        Currency,
        End::Match,
    );
}

/// Acronyms: letters with full stops between them.
const ACRONYM: &str = r"(?:[A-Za-z](?:\.[A-Za-z])+|(?i:(?:canada|sino|korean|eu|japan|non)-u\.s|u\.s\.-(?:u\.k|u\.s\.s\.r)))";

/// Months, days, states, companies and what else is usually followed by a word in lower case.
const BEFORE_LOWER: &str = concat!(
    r"(?:(?i:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thu|thurs|fri",
    r"|ala|ariz|calif|colo|conn|ct|dak|fla|ga|ind|kans?|ky|md|mich|minn|mo|mont|neb|nev|okla|penn",
    r"|tenn|va|vt|wisc?|wyo|inc|cos?|corp|ltd|plc|rt|bancorp|bhd|assn|univ|intl|sys",
    r"|tel|est|ext|sq|jr|sr|bros|(?:ed|ph)\.d|blvd|rd|esq|etc|al|seq|bldg)",
    r"|(?i:pp?t)[ye](?i:s?)|[A](?i:z)|[A](?i:rk)|[D](?i:el)|[I](?i:ll)|[L](?i:a)|[M](?i:ass)|[M](?i:iss)|[O](?i:re)",
    r"|[P](?i:a)|[T](?i:ex)|[W](?i:ash))\.",
);

/// Titles and what else is usually followed by a capital.
const BEFORE_UPPER: &str = concat!(
    r"[A-Za-z]|(?i:mr|mrs|ms|drs?|profs?|sens?|reps?|attys?|lt|col|gen|messrs|govs?|adm|rev|maj|sgt",
    r"|cpl|pvt|mt|capt|ste?|ave|pres|lieut|hon|brig|co?mdr|pfc|spc|supts?|det|asst|insp|adj|adv|ens|vs|alex|wm|jos|cie",
    r"|a\.k\.a|cf|treas|ph|dept|ft|invt|elec|natl)|(?i:m)[ft](?i:g)|[M](?i:iss)",
);

/// Words that tell that a sentence begins when they follow an acronym.
const OPENERS: &str = concat!(
    "[A](?i:bout)|[A](?i:ccording)|[A](?i:dditionally)|[A](?i:fter)|[A](?i:n)|[A]|[A](?i:s)|[A](?i:t)",
    "|[B](?i:ut)|[E](?i:arlier)|[H](?i:er?)|[H](?i:ere)",
    "|[H](?i:owever)|[I](?i:f)|[I](?i:n)|[I](?i:t)|[L](?i:ast)|[M](?i:any)|[M](?i:ore)",
    r"|[M](?i:r)\.|[M](?i:s)\.|[N](?i:ow)|[O](?i:nce)|[O](?i:ne)|[O](?i:ther)|[O](?i:ur)",
    "|[S](?i:he)|[S](?i:ince)|[S](?i:o)|[S](?i:ome)|[S](?i:uch)|[T](?i:hat)|[T](?i:he)",
    "|[T](?i:heir)|[T](?i:hen)|[T](?i:here)|[T](?i:hese)|[T](?i:hey)|[T](?i:his)|[W](?i:e)",
    "|[W](?i:hen)|[W](?i:hile)|[W](?i:hat)|[Y](?i:et)|[Y](?i:ou)",
);

fn abbreviations(rules: &mut Vec<Rule>) {
    let (s, sgml) = (SPACE, sgml());
    push(
        rules,
        format!(r"(?:[A-Za-z]|{ACRONYM})\.{s}+(?:{OPENERS}|{sgml}){s}"),
        Initial,
        End::Blank,
    );
    push(
        rules,
        format!(r"(?i:ca|figs?|prop|nos?|art|bldg|pp|op)\.{s}?{DIGIT}"),
        Text,
        End::FullStop,
    );
    push(rules, format!(r"(?:(?i:pt)[eyEY]|(?i:co))\.{BLANK}(?i:ltd|lim)"), Text, End::FullStop);
    push(rules, format!("{BEFORE_LOWER}{s}(?:{s}|{UPPER}|{sgml})"), Again, End::Blank);
    push(rules, format!(r"{BEFORE_LOWER}(?s:..)"), Text, End::Before(2));
    push(rules, BEFORE_LOWER, Again, End::Match);
    push(rules, format!(r"(?:{BEFORE_UPPER}|{ACRONYM})\."), Text, End::Match);
    push(rules, format!("(?:{BEFORE_UPPER}|{ACRONYM}){BLANK}"), Text, End::Before(1));
    push(rules, format!("{ACRONYM}{s}"), Text, End::Before(1));
    push(rules, format!("{APOSTROPHE}[0-9][0-9]{s}"), Text, End::Before(1));
    let letter = format!("(?:{}|{DIGIT})", letter());
    let extensions = "bat|bmp|c|class|cgi|cpp|dll|doc|docx|exe|gif|gz|h|htm|html|jar|java|jpeg|jpg|mov|mp3|pdf|php|pl|png|ppt|ps|py|sql|tar|txt|wav|x|xml|zip";
    push(
        rules,
        format!(r"{letter}+(?:\.{letter}+)*\.(?i:{extensions})(?:{s}|[.?!,])"),
        Text,
        End::Before(1),
    );
    push(rules, format!(r"{}\.[,;:\x{{3001}}]", word()), Word, End::Before(1));
    push(
        rules,
        concat!(
            r"(?:\([0-9]{2,3}\)[ \x{A0}]?|(?:\+\+?)?(?:[0-9]{2,4}[- \x{A0}])?[0-9]{2,4}[- \x{A0}])",
            r"[0-9]{3,4}[- \x{A0}]?[0-9]{3,5}",
            r"|(?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}",
        ),
        Spelled,
        End::Match,
    );
}

/// Quotation marks, brackets, smileys, dashes, dots and other punctuation.
fn marks(rules: &mut Vec<Rule>) {
    push(rules, r#"(?:"|(?i:&quot;))[A-Za-z0-9$]"#, OpeningQuote, End::Before(1));
    push(rules, r#""|(?i:&quot;)"#, ClosingQuote, End::Match);
    push(rules, r"\x{7F}", Skip, End::Match);
    push(rules, "<|(?i:&lt;)", Fixed("<"), End::Match);
    push(rules, ">|(?i:&gt;)", Fixed(">"), End::Match);
    push(rules, r"[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]][^A-Za-z0-9]", Spelled, End::Before(1));
    push(
        rules,
        r"[\^x=~<>]\.\[\^[xX]=[^<\r\n]*<>\]|[-\^x=~<>']_[-\^x=~<>']|\([-\^x=~<>'][_.]?[-\^x=~<>']\)|\([\^x=~<>']-[\^x=~<>'`]\)",
        Spelled,
        End::Match,
    );
    for (mark, name) in [
        (r"\{", "-LCB-"),
        (r"\}", "-RCB-"),
        (r"\[", "-LSB-"),
        (r"\]", "-RSB-"),
        (r"\(", "-LRB-"),
        (r"\)", "-RRB-"),
    ] {
        push(rules, mark, Fixed(name), End::Match);
    }
    push(rules, "-+", Hyphens, End::Match);
    push(rules, r"\.{3,5}|(?:\.[ \x{A0}]){2,4}\.|[\x{85}\x{2026}]", Fixed("..."), End::Match);
    push(rules, r"@+|#+|_+|\*+|(?:\\\*){1,3}", Text, End::Match);
    push(rules, r"[,;:\x{3001}]|[?!]+|[.=/]", Text, End::Match);
}

/// Words with hyphens, numbers, ampersands or apostrophes inside.
fn compounds(rules: &mut Vec<Rule>) {
    let comma = r"[,;:\x{3001}]";
    let hyphened =
        format!(r"[A-Za-z0-9][A-Za-z0-9.,\x{{AD}}]*(?:-(?:[A-Za-z0-9\x{{AD}}]+|{ACRONYM}\.))+");
    push(rules, format!(r"{hyphened}\.{comma}"), Word, End::Before(1));
    push(rules, hyphened, Word, End::Match);
    let part = format!("(?:[dDoOlL]{ANY_APOSTROPHE}{ALNUM})?{ALNUM}+");
    let thing = format!(r"{part}(?:[-_\x{{58A}}\x{{2010}}\x{{2011}}]{part})*");
    push(rules, format!(r"{thing}\.{comma}"), Text, End::Before(1));
    push(rules, thing, Text, End::Match);
    let joined = "[A-Z]+(?:(?:[+&]|(?i:&amp;))[A-Z]+)+";
    push(rules, format!(r"{joined}\.{comma}"), Ampersand, End::Before(1));
    push(rules, joined, Ampersand, End::Match);
}

fn rest(rules: &mut Vec<Rule>) {
    push(rules, r"'[A-Za-z][^ \t\n\r\x{A0}]", OpeningQuote, End::Before(2));
    push(rules, auxiliary(), ClosingQuote, End::Match);
    push(rules, negation(), ClosingQuote, End::Match);
    push(
        rules,
        format!(
            r"{APOSTROPHE}|''|[`\x{{91}}-\x{{94}}\x{{2018}}-\x{{201F}}\x{{2039}}\x{{203A}}\x{{AB}}\x{{BB}}]{{1,2}}"
        ),
        ClosingQuote,
        End::Match,
    );
    push(rules, "<<|>>", Text, End::Match);
    push(rules, SIGN, Text, End::Match);
    push(
        rules,
        format!(r"\x00|{BLANK}+|[\x{{200B}}\x{{200E}}\x{{200F}}\x{{FEFF}}]"),
        Skip,
        End::Match,
    );
    push(rules, LINE, Line, End::Match);
    push(rules, any("&nbsp;"), Skip, End::Match);
}
