//! Staff and contacts: they arrive anew in every backup, so a list shows each
//! person once, as of a date.

use bson::{Document, doc};
use futures_util::TryStreamExt;

use super::{Page, Position, Query, Total, bound, filter, page};
use crate::{
    accounts::DataType,
    store::{Error, Store, schema},
};

/// The most people whose ids a text stands for.
const PEOPLE_LIMIT: i64 = 200;

impl Store {
    /// A page of people, by name: of each the version that was current on the date.
    pub(super) async fn people_page(
        &self,
        query: &Query,
        hidden: &[String],
    ) -> Result<Page, Error> {
        let failed = "read a page of people";
        let mut known = Document::new();
        if !hidden.is_empty() {
            known.insert("backup", doc! { "$nin": hidden });
        }
        if let Some(as_of) = query.as_of {
            known.insert("taken", doc! { "$lte": bound(as_of) });
        }
        let mut wanted = filter::base(query, &[], &[]);
        let current = vec![
            doc! { "$match": known },
            doc! { "$sort": { "id": 1, "taken": -1, "version": -1 } },
            doc! { "$project": { "raw": 0 } },
            doc! { "$group": { "_id": "$id", "newest": { "$first": "$$ROOT" } } },
            doc! { "$replaceRoot": { "newRoot": "$newest" } },
        ];
        let collection = self.collection(schema::table(query.data_type));
        let mut counting = current.clone();
        counting.extend([doc! { "$match": wanted.clone() }, doc! { "$count": "count" }]);
        let counted = collection.aggregate(counting).allow_disk_use(true).await;
        let counted: Vec<Document> = counted
            .map_err(Error::database(failed))?
            .try_collect()
            .await
            .map_err(Error::database(failed))?;
        let count = counted.first().and_then(|found| found.get_i32("count").ok()).unwrap_or(0);

        let backwards = matches!(query.position, Position::Before(_) | Position::Last);
        let (operator, direction) = if backwards { ("$lt", -1) } else { ("$gt", 1) };
        if let Position::After(cursor) | Position::Before(cursor) = &query.position {
            let name = cursor.name.clone().unwrap_or_default();
            wanted.insert(
                "$and",
                [doc! { "$or": [
                    { "sort_name": { operator: &name } },
                    { "sort_name": &name, "_id": { operator: &cursor.id } },
                ] }],
            );
        }
        let mut pipeline = current;
        pipeline.extend([
            // A place in the list stands in addresses, so the name in it is kept short.
            doc! { "$addFields": { "sort_name": { "$substrCP": [{ "$toLower": { "$ifNull": ["$name", "$full_name"] } }, 0, 100] } } },
            doc! { "$match": wanted },
            doc! { "$sort": { "sort_name": direction, "_id": direction } },
            doc! { "$limit": i64::from(query.limit) + 1 },
        ]);
        let found = collection.aggregate(pipeline).allow_disk_use(true).await;
        let documents: Vec<Document> = found
            .map_err(Error::database(failed))?
            .try_collect()
            .await
            .map_err(Error::database(failed))?;
        let count = u64::try_from(count).unwrap_or(0);
        page(query, documents, Total { count, exact: true })
    }

    /// The ids of people whose name holds the text that a query looks for.
    pub(super) async fn people_named(&self, query: &Query) -> Result<Vec<String>, Error> {
        let text = query.text.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let Some(text) = text else {
            return Ok(Vec::new());
        };
        let failed = "look for people";
        let mut eids = Vec::new();
        for data_type in [DataType::Staff, DataType::Contacts] {
            let named = doc! { "$or": [{ "name": filter::pattern(text) }, { "full_name": filter::pattern(text) }] };
            let found = self
                .collection(schema::table(data_type))
                .find(named)
                .projection(doc! { "eid": 1 })
                .limit(PEOPLE_LIMIT)
                .await
                .map_err(Error::database(failed))?;
            let people: Vec<Document> =
                found.try_collect().await.map_err(Error::database(failed))?;
            eids.extend(
                people.iter().filter_map(|person| Some(person.get_str("eid").ok()?.to_owned())),
            );
        }
        eids.sort_unstable();
        eids.dedup();
        Ok(eids)
    }
}
