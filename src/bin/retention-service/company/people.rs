//! Who works at the business, who its contacts are, and how both change by the day.
//!
//! A person keeps the id for ever; a new job title, status or number is new content under it.

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use retention::records::Dataset;
use serde_json::{Value, json};

use super::{
    Diary,
    chance::Chance,
    data::{CATALOGUE, CONTACTS, STAFF, cell, list},
    pictures,
};
use crate::record::Medium;

/// How many contacts there are on the first day.
const CONTACTS_FULL: usize = 48;
const CONTACTS_QUICK: usize = 10;

/// How many of them change on a day; one more joins.
const CHANGED_A_DAY: usize = 3;

/// Who speaks with customers.
const CUSTOMER_FACING: [&str; 4] = ["Customer Service", "Sales", "Deliveries", "Design"];

/// A member of staff or a contact as they are on a day.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) record: Value,
    pub(super) is_staff: bool,
    pub(super) name: String,
    pub(super) phone: String,
    pub(super) country: String,
    /// `en` or `zh`.
    pub(super) language: &'static str,
    form: String,
    chinese_name: String,
}

impl Person {
    pub(super) fn eid(&self) -> String {
        self.text("id").to_owned()
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.record[name].as_str().unwrap_or_default()
    }

    pub(super) fn is_at_work(&self) -> bool {
        self.text("status") == "Activated"
    }

    pub(super) fn faces_customers(&self) -> bool {
        self.is_at_work() && CUSTOMER_FACING.contains(&self.text("department"))
    }

    /// How one addresses them in a conversation.
    pub(super) fn address_in(&self, language: &str) -> String {
        let (first, last) = (self.text("firstName"), self.text("lastName"));
        match (self.is_staff, language) {
            (true, "zh") if !self.chinese_name.is_empty() => self.chinese_name.clone(),
            (true, _) => first.to_owned(),
            (false, "zh") => match self.form.as_str() {
                "Mr" => format!("{last} 先生"),
                "Ms" => format!("{last} 小姐"),
                form => format!("{last}{form}"),
            },
            (false, _) => format!("{} {last}", self.form),
        }
    }
}

/// Everybody, for one seed.
#[derive(Debug)]
pub(super) struct People {
    seed: u64,
    first_contacts: usize,
}

impl People {
    pub(super) fn new(seed: u64, quick: bool) -> Self {
        Self { seed, first_contacts: if quick { CONTACTS_QUICK } else { CONTACTS_FULL } }
    }

    /// The staff list as it stands on a day.
    pub(super) fn staff_on(&self, day: u32) -> Vec<Person> {
        let mut staff: Vec<_> =
            list(&STAFF, "staff").iter().enumerate().map(|(n, row)| self.hired(n, row)).collect();
        for change in list(&STAFF, "changes") {
            let due = change["day"].as_u64().is_some_and(|due| due <= u64::from(day));
            let Some(set) = change["set"].as_object().filter(|_| due) else { continue };
            for person in &mut staff {
                if person.record["firstName"] == change["firstName"] {
                    set.iter().for_each(|(name, value)| person.record[name] = value.clone());
                }
            }
        }
        staff
    }

    /// The contact list on a day.
    pub(super) fn contacts_on(&self, day: u32) -> Vec<Person> {
        let mut contacts: Vec<_> = (0..self.first_contacts).map(|n| self.met(n)).collect();
        for today in 1..=u64::from(day) {
            let mut chance = Chance::new(self.seed, "contact changes", today);
            for _ in 0..CHANGED_A_DAY {
                let n = chance.index(contacts.len());
                changed(&mut contacts[n], &mut chance);
            }
            // The list has an end; who is on it twice would be two people of one name.
            if contacts.len() < list(&CONTACTS, "contacts").len() {
                contacts.push(self.met(contacts.len()));
            }
        }
        contacts
    }

    /// Adds the lists that every backup brings whole: staff, contacts, portraits, tag icons.
    pub(super) fn lists(&self, diary: &mut Diary<'_>) {
        for (n, person) in diary.staff.clone().iter().enumerate() {
            diary.add(Dataset::Staff, &person.record);
            if let Some(id) = self.portrait(person.text("firstName")) {
                let picture = pictures::portrait(n);
                let owner = ("staffID", person.eid());
                service_file(diary, Dataset::Avatar, "avatars", &id, owner, picture);
            }
        }
        for person in diary.contacts.clone() {
            diary.add(Dataset::Contact, &person.record);
        }
        for row in list(&STAFF, "tags") {
            let tag = cell(row, 0);
            let id = Chance::new(self.seed, &format!("tag {tag}"), 0).object_id();
            let picture = pictures::tag(cell(row, 2));
            let owner = ("tag", tag.to_owned());
            service_file(diary, Dataset::TagIcon, "tags", &id, owner, picture);
        }
    }

    fn portrait(&self, first_name: &str) -> Option<String> {
        let without = list(&STAFF, "without_avatar").iter().any(|name| name == first_name);
        (!without).then(|| Chance::new(self.seed, &format!("avatar {first_name}"), 0).object_id())
    }

    fn hired(&self, n: usize, row: &Value) -> Person {
        let mut chance = Chance::new(self.seed, "staff", n as u64);
        let (first, last, chinese) = (cell(row, 0), cell(row, 1), cell(row, 7));
        let name = match chinese {
            "" => format!("{first} {last}"),
            _ => format!("{first} {last} ({chinese})"),
        };
        let mailbox = first.to_lowercase().replace('á', "a");
        let domain = STAFF["mail_domain"].as_str().unwrap_or("example");
        let phone = fictional("852", 5000 + n);
        let two_factor = ["Administrator", "Manager"].contains(&cell(row, 2));
        let mut record = json!({
            "_id": chance.object_id(), "id": chance.object_id(),
            "firstName": first, "lastName": last, "displayName": name,
            "role": row[2], "dataScope": row[3], "department": row[4], "jobTitle": row[5],
            "status": row[6], "email": format!("{mailbox}@{domain}"), "phone": phone,
            "timezone": "Asia/Hong_Kong", "extensionNumber": (1001 + n).to_string(),
            "twoFactorAuthentication": two_factor,
            "createdAt": founded(37 * n as i64),
        });
        if let Some(id) = self.portrait(first) {
            record["avatarUrl"] = format!("data-retention/avatars/{id}.png").into();
        }
        Person {
            record,
            is_staff: true,
            name,
            phone,
            country: "852".to_owned(),
            language: "en",
            form: String::new(),
            chinese_name: chinese.to_owned(),
        }
    }

    fn met(&self, n: usize) -> Person {
        let rows = list(&CONTACTS, "contacts");
        let row = &rows[n % rows.len()];
        let mut chance = Chance::new(self.seed, "contact", n as u64);
        let (first, last, country) = (cell(row, 0), cell(row, 1), cell(row, 4));
        let phone = fictional(country, n);
        let owner = chance.index(list(&STAFF, "staff").len());
        let owner = self.hired(owner, &list(&STAFF, "staff")[owner]).eid();
        let mut record = json!({
            "_id": chance.object_id(), "id": chance.object_id(),
            "firstName": first, "lastName": last, "language": row[3], "mobilePhone": phone,
            "email": format!("customer{:03}@example.net", n + 1),
            "address": street(&mut chance),
            "customerType": chance.choice(list(&CONTACTS, "customer_types")),
            "level": chance.choice(list(&CONTACTS, "levels")),
            "ownerId": owner,
            "cf_preferred_delivery": *chance.choice(&["morning", "afternoon", "Saturday"]),
            "createdAt": founded(60 + 9 * n as i64),
        });
        if !cell(row, 5).is_empty() {
            record["companyName"] = row[5].clone();
            record["jobTitle"] = row[6].clone();
            record["workPhone"] = fictional(country, 300 + n).into();
        }
        if chance.happens(0.5) {
            record["whatsApp"] = phone.clone().into();
        }
        let chinese_order = first.starts_with(|c: char| c >= '\u{4e00}');
        Person {
            record,
            is_staff: false,
            name: if chinese_order { format!("{last}{first}") } else { format!("{first} {last}") },
            phone,
            country: country.to_owned(),
            language: if cell(row, 3).starts_with("zh") { "zh" } else { "en" },
            form: cell(row, 2).to_owned(),
            chinese_name: String::new(),
        }
    }
}

/// Something new about somebody.
fn changed(person: &mut Person, chance: &mut Chance) {
    match chance.index(3) {
        0 => {
            person.record["otherPhone"] = person.phone.clone().into();
            person.phone = fictional(&person.country, 500 + chance.index(400));
            person.record["mobilePhone"] = person.phone.clone().into();
        }
        1 => person.record["address"] = street(chance).into(),
        _ => person.record["level"] = chance.choice(list(&CONTACTS, "levels")).clone(),
    }
}

/// The same picture and the same record every day.
fn service_file(
    diary: &mut Diary<'_>,
    dataset: Dataset,
    folder: &str,
    id: &str,
    (owner, whose): (&str, String),
    bytes: Vec<u8>,
) {
    let path = format!("data-retention/{folder}/{id}.png");
    let key = Chance::new(diary.seed, &format!("{dataset} {id}"), 0).object_id();
    let record = json!({
        "_id": key, "fileID": id, owner: whose, "mimeType": "image/png", "size": bytes.len(),
        "path": path,
    });
    diary.add(dataset, &record);
    diary.day.media.push(Medium { id: id.to_owned(), path, bytes });
}

/// The number of this index in the range that a country keeps for fiction.
fn fictional(country: &str, n: usize) -> String {
    let range = &CONTACTS["phone_ranges"][country];
    let digits = range[1].as_u64().and_then(|digits| usize::try_from(digits).ok()).unwrap_or(4);
    // 37 has no factor in common with a power of ten: no number comes twice.
    let number = (n * 37 + 11) % 10_usize.pow(u32::try_from(digits).unwrap_or(4));
    format!("{}{number:0digits$}", cell(range, 0))
}

/// An address in an estate that does not exist.
pub(super) fn street(chance: &mut Chance) -> String {
    let flat = chance.range(1, 31);
    let door = *chance.choice(&['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H']);
    let tower = chance.range(1, 7);
    let estate = chance.choice(list(&CATALOGUE, "estates")).as_str().unwrap_or_default();
    let district = cell(chance.choice(list(&CATALOGUE, "districts")), 0);
    format!("Flat {flat}{door}, Tower {tower}, {estate}, {district}")
}

/// A day some time after the business was founded.
fn founded(days: i64) -> String {
    let first = Date::constant(2019, 3, 4).to_zoned(TimeZone::UTC);
    let first = first.map_or(Timestamp::UNIX_EPOCH, |day| day.timestamp());
    (first + SignedDuration::from_hours(24 * days)).to_string()
}
