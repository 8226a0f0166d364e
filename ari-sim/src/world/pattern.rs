//! Patterns of POSIX (extended regular expressions), as far as names of applications need them.
//!
//! They are matched without going back, so that no pattern takes long.

/// Limits of Asterisk: longest pattern, deepest groups, most groups with a quantifier, largest bound.
const MAX_LENGTH: usize = 256;
const MAX_DEPTH: u32 = 10;
const MAX_QUANTIFIED: u32 = 3;
const MAX_BOUND: u32 = 100;

/// Longest program that is made of a pattern; a longer one is none.
const MAX_STEPS: usize = 20_000;

/// A pattern that can be matched.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    One(Set),
    Begin,
    End,
    /// Goes on here or there.
    Split(usize, usize),
    Jump(usize),
    Match,
}

/// Characters that fit.
#[derive(Clone, Debug, Default)]
struct Set {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Set {
    fn one(character: char) -> Self {
        Self {
            negated: false,
            ranges: vec![(character, character)],
        }
    }

    fn any() -> Self {
        Self {
            negated: true,
            ranges: Vec::new(),
        }
    }

    fn has(&self, character: char) -> bool {
        let inside = self
            .ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&character));
        inside != self.negated
    }
}

#[derive(Clone, Debug)]
enum Part {
    One(Set),
    Begin,
    End,
    All(Vec<Self>),
    Either(Vec<Self>),
    Repeat(Box<Self>, u32, Option<u32>),
}

struct Parser<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    depth: u32,
    quantified: u32,
}

impl Parser<'_> {
    fn either(&mut self) -> Option<Part> {
        let mut ways = vec![self.all()?];
        while self.rest.next_if_eq(&'|').is_some() {
            ways.push(self.all()?);
        }
        Some(Part::Either(ways))
    }

    fn all(&mut self) -> Option<Part> {
        let mut parts = Vec::new();
        while let Some(&next) = self.rest.peek() {
            if next == '|' || (next == ')' && self.depth > 0) {
                break;
            }
            self.rest.next();
            let part = match next {
                '(' => {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return None;
                    }
                    let inner = self.either()?;
                    self.rest.next_if_eq(&')')?;
                    self.depth -= 1;
                    inner
                }
                '[' => Part::One(self.set()?),
                '.' => Part::One(Set::any()),
                '^' => Part::Begin,
                '$' => Part::End,
                '\\' => Part::One(Set::one(self.rest.next()?)),
                // A quantifier with nothing before it.
                '*' | '+' | '?' => return None,
                literal => Part::One(Set::one(literal)),
            };
            parts.push(self.quantifiers(part)?);
        }
        Some(Part::All(parts))
    }

    fn quantifiers(&mut self, mut part: Part) -> Option<Part> {
        loop {
            let group = matches!(part, Part::Either(_));
            let (least, most) = match self.rest.peek() {
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('?') => (0, Some(1)),
                Some('{') => {
                    self.rest.next();
                    let bounds = self.bounds()?;
                    self.count(group)?;
                    part = Part::Repeat(Box::new(part), bounds.0, bounds.1);
                    continue;
                }
                _ => return Some(part),
            };
            self.rest.next();
            self.count(group)?;
            part = Part::Repeat(Box::new(part), least, most);
        }
    }

    fn count(&mut self, group: bool) -> Option<()> {
        self.quantified += u32::from(group);
        (self.quantified <= MAX_QUANTIFIED).then_some(())
    }

    /// What stands in braces, behind the first one.
    fn bounds(&mut self) -> Option<(u32, Option<u32>)> {
        let least = self.number()?;
        let most = if self.rest.next_if_eq(&',').is_some() {
            if self.rest.peek() == Some(&'}') {
                None
            } else {
                Some(self.number()?)
            }
        } else {
            Some(least)
        };
        self.rest.next_if_eq(&'}')?;
        (most.is_none_or(|most| most >= least)).then_some((least, most))
    }

    fn number(&mut self) -> Option<u32> {
        let mut number = None;
        while let Some(digit) = self.rest.peek().and_then(|next| next.to_digit(10)) {
            self.rest.next();
            let next = number.unwrap_or(0) * 10 + digit;
            if next > MAX_BOUND {
                return None;
            }
            number = Some(next);
        }
        number
    }

    /// What stands in brackets, behind the first one.
    fn set(&mut self) -> Option<Set> {
        let mut set = Set {
            negated: self.rest.next_if_eq(&'^').is_some(),
            ranges: Vec::new(),
        };
        let mut first = true;
        loop {
            let next = self.rest.next()?;
            if next == ']' && !first {
                return Some(set);
            }
            first = false;
            if next == '[' && self.rest.next_if_eq(&':').is_some() {
                self.named(&mut set)?;
                continue;
            }
            let mut last = next;
            let mut ahead = self.rest.clone();
            if ahead.next() == Some('-') && ahead.peek().is_some_and(|end| *end != ']') {
                self.rest.next();
                last = self.rest.next()?;
                if last < next {
                    return None;
                }
            }
            set.ranges.push((next, last));
        }
    }

    /// A class such as `[:alpha:]`, behind its colon.
    fn named(&mut self, set: &mut Set) -> Option<()> {
        let mut name = String::new();
        loop {
            match self.rest.next()? {
                ':' => break,
                letter if name.len() < 8 => name.push(letter),
                _ => return None,
            }
        }
        self.rest.next_if_eq(&']')?;
        let ranges: &[(char, char)] = match name.as_str() {
            "alpha" => &[('a', 'z'), ('A', 'Z')],
            "digit" => &[('0', '9')],
            "alnum" => &[('a', 'z'), ('A', 'Z'), ('0', '9')],
            "lower" => &[('a', 'z')],
            "upper" => &[('A', 'Z')],
            "space" => &[(' ', ' '), ('\t', '\r')],
            "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
            "xdigit" => &[('0', '9'), ('a', 'f'), ('A', 'F')],
            _ => return None,
        };
        set.ranges.extend_from_slice(ranges);
        Some(())
    }
}

impl Pattern {
    /// Reads a pattern; `None` where it is empty, is none, or is larger than Asterisk allows.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > MAX_LENGTH {
            return None;
        }
        let mut parser = Parser {
            rest: text.chars().peekable(),
            depth: 0,
            quantified: 0,
        };
        let part = parser.either()?;
        let mut pattern = Self { steps: Vec::new() };
        pattern.compile(&part)?;
        pattern.push(Step::Match)?;
        Some(pattern)
    }

    fn push(&mut self, step: Step) -> Option<usize> {
        self.steps.push(step);
        (self.steps.len() <= MAX_STEPS).then(|| self.steps.len() - 1)
    }

    fn compile(&mut self, part: &Part) -> Option<()> {
        match part {
            Part::One(set) => drop(self.push(Step::One(set.clone()))?),
            Part::Begin => drop(self.push(Step::Begin)?),
            Part::End => drop(self.push(Step::End)?),
            Part::All(parts) => {
                for part in parts {
                    self.compile(part)?;
                }
            }
            Part::Either(ways) => {
                let mut jumps = Vec::new();
                for (place, way) in ways.iter().enumerate() {
                    if place + 1 == ways.len() {
                        self.compile(way)?;
                    } else {
                        let split = self.push(Step::Jump(0))?;
                        self.compile(way)?;
                        jumps.push(self.push(Step::Jump(0))?);
                        self.steps[split] = Step::Split(split + 1, self.steps.len());
                    }
                }
                for jump in jumps {
                    self.steps[jump] = Step::Jump(self.steps.len());
                }
            }
            Part::Repeat(inner, least, most) => {
                for _ in 0..*least {
                    self.compile(inner)?;
                }
                if let Some(most) = most {
                    let mut splits = Vec::new();
                    for _ in *least..*most {
                        splits.push(self.push(Step::Jump(0))?);
                        self.compile(inner)?;
                    }
                    for split in splits {
                        self.steps[split] = Step::Split(split + 1, self.steps.len());
                    }
                } else {
                    let split = self.push(Step::Jump(0))?;
                    self.compile(inner)?;
                    self.push(Step::Jump(split))?;
                    self.steps[split] = Step::Split(split + 1, self.steps.len());
                }
            }
        }
        Some(())
    }

    /// Whether the pattern is found anywhere in a text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let mut now = vec![false; self.steps.len()];
        let mut characters = text.chars().peekable();
        let mut begins = true;
        loop {
            let ends = characters.peek().is_none();
            if self.reach(0, &mut now, begins, ends) {
                return true;
            }
            let Some(character) = characters.next() else {
                return false;
            };
            let ends = characters.peek().is_none();
            let mut next = vec![false; self.steps.len()];
            for (place, step) in self.steps.iter().enumerate() {
                if let Step::One(set) = step
                    && now[place]
                    && set.has(character)
                    && self.reach(place + 1, &mut next, false, ends)
                {
                    return true;
                }
            }
            now = next;
            begins = false;
        }
    }

    /// Marks what can be reached without a character; says whether that is the end.
    fn reach(&self, from: usize, reached: &mut [bool], begins: bool, ends: bool) -> bool {
        let mut left = vec![from];
        while let Some(place) = left.pop() {
            if std::mem::replace(&mut reached[place], true) {
                continue;
            }
            match &self.steps[place] {
                Step::Begin if begins => left.push(place + 1),
                Step::End if ends => left.push(place + 1),
                Step::One(_) | Step::Begin | Step::End => {}
                Step::Split(first, second) => left.extend([*first, *second]),
                Step::Jump(to) => left.push(*to),
                Step::Match => return true,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_match_as_in_posix() {
        for (pattern, text, expected) in [
            ("^ivr-.*", "ivr-sales", true),
            ("^ivr-.*", "my-ivr-sales", false),
            ("ivr", "my-ivr-sales", true),
            ("^(a|b)+$", "abba", true),
            ("^(a|b)+$", "abc", false),
            ("^a{2,3}$", "aaa", true),
            ("^a{2,3}$", "aaaa", false),
            ("^a{2}$", "aa", true),
            ("^[^x-z]+[[:digit:]]$", "abc7", true),
            ("^[^x-z]+[[:digit:]]$", "axc7", false),
            ("^[]a]+$", "]a]", true),
            (r"a\.b", "a.b", true),
            (r"a\.b", "axb", false),
            ("(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaac", false),
            ("x?$", "abc", true),
            ("^$", "", true),
            ("a|", "zzz", true),
        ] {
            let found = Pattern::parse(pattern).map(|known| known.matches(text));
            assert_eq!(found, Some(expected), "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_none() {
        for text in [
            "",
            "(",
            "[a",
            "*a",
            "a{",
            "a{101}",
            "a{3,2}",
            "[z-a]",
            "\\",
            "(a)+(b)+(c)+(d)+",
        ] {
            assert!(Pattern::parse(text).is_none(), "{text}");
        }
        assert!(Pattern::parse(&"a".repeat(300)).is_none());
        assert!(Pattern::parse("((((.{100}){100}){100}))").is_none());
    }
}
