//! What people say: the scripts beside the demonstration, with their words filled in.

use std::collections::BTreeMap;

use super::{
    chance::Chance,
    data::{CATALOGUE, CHINESE, ENGLISH, cell, list},
    people::{Person, street},
};

/// One message of a script.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) who: char,
    pub(super) attachment: Option<String>,
    ways: Vec<String>,
}

/// A conversation with its words still open.
#[derive(Clone, Debug)]
pub(super) struct Script {
    with_customer: bool,
    language: &'static str,
    pub(super) turns: Vec<Turn>,
}

/// All conversations.
#[derive(Debug)]
pub(super) struct Scripts(Vec<Script>);

impl Scripts {
    pub(super) fn read() -> Self {
        let mut scripts = Vec::new();
        for (text, language) in [(ENGLISH, "en"), (CHINESE, "zh")] {
            let lines = text.lines().map(str::trim);
            for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
                if let Some(parties) = line.strip_prefix('@') {
                    let with_customer = parties.trim() == "customer";
                    scripts.push(Script { with_customer, language, turns: Vec::new() });
                } else if let (Some(script), Some(turn)) = (scripts.last_mut(), turn(line)) {
                    script.turns.push(turn);
                }
            }
        }
        Self(scripts)
    }

    /// A conversation in a language.
    pub(super) fn draw(&self, with_customer: bool, language: &str, chance: &mut Chance) -> &Script {
        let fits =
            |script: &&Script| script.with_customer == with_customer && script.language == language;
        let fitting: Vec<&Script> = self.0.iter().filter(fits).collect();
        fitting[chance.index(fitting.len())]
    }
}

/// A line such as `S [quotation]: With pleasure. | Of course.`
fn turn(line: &str) -> Option<Turn> {
    let (head, text) = line.split_once(':')?;
    let attachment = head.split_once('[').map(|(_, kind)| kind.trim_end_matches(']').to_owned());
    let ways = text.split(" | ").map(|way| way.trim().to_owned()).collect();
    Some(Turn { who: head.chars().next()?, attachment, ways })
}

/// What one conversation is about: the same order, product and day throughout.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) order: String,
    pub(super) quote: String,
    pub(super) amount: i64,
    pub(super) product: String,
    words: BTreeMap<&'static str, String>,
}

impl Topic {
    pub(super) fn new(
        chance: &mut Chance,
        customer: &Person,
        staff: &Person,
        language: &str,
    ) -> Self {
        let column = usize::from(language == "zh");
        let mut pair = |name: &str| cell(chance.choice(list(&CATALOGUE, name)), column).to_owned();
        let (day, time, hour) = (pair("weekdays"), pair("times"), pair("hours"));
        let (colour, district) = (pair("colours"), pair("districts"));
        let goods = chance.choice(list(&CATALOGUE, "products"));
        let product = goods[language].as_str().unwrap_or_default().to_owned();
        let quantity = *chance.choice(&[4, 6, 8, 12, 16, 24]);
        let amount = goods["price"].as_i64().unwrap_or(1000) * quantity * 9 / 10;
        let digits = chance.range(104_000, 109_999).to_string();
        let (order, quote) = (format!("HP-{digits}"), format!("Q-{}", chance.range(2100, 2999)));
        let address = match customer.text("address") {
            "" => street(chance),
            known => known.to_owned(),
        };
        let words = BTreeMap::from([
            ("day", day),
            ("time", time),
            ("hour", hour),
            ("colour", colour),
            ("district", district),
            ("product", product.clone()),
            ("name", customer.address_in(language)),
            ("caller", customer.name.clone()),
            ("staff", staff.address_in(language)),
            ("order", order.clone()),
            ("digits", digits),
            ("quote", quote.clone()),
            ("qty", quantity.to_string()),
            ("amount", thousands(amount)),
            ("deposit", thousands(amount * 3 / 10)),
            ("address", address),
        ]);
        Self { order, quote, amount, product, words }
    }

    /// One of the ways to say a turn, its words filled in.
    pub(super) fn said(&self, turn: &Turn, chance: &mut Chance) -> String {
        let mut text = chance.choice(&turn.ways).clone();
        for (name, word) in &self.words {
            text = text.replace(&format!("{{{name}}}"), word);
        }
        let mut letters = text.chars();
        match letters.next() {
            Some(first) if first.is_lowercase() => first.to_uppercase().chain(letters).collect(),
            _ => text,
        }
    }
}

/// A number as prices are written.
fn thousands(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_every_script_is_known() {
        let people = super::super::people::People::new(1, true);
        let (staff, contacts) = (people.staff_on(0), people.contacts_on(0));
        let mut chance = Chance::new(1, "test", 0);
        let scripts = Scripts::read();
        assert!(scripts.0.len() > 20);
        for script in &scripts.0 {
            let topic = Topic::new(&mut chance, &contacts[0], &staff[0], script.language);
            for turn in &script.turns {
                let text = topic.said(turn, &mut chance);
                assert!(!text.contains(['{', '}', '|']), "{text}");
            }
        }
    }

    #[test]
    fn prices_have_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }
}
