//! Receipts and data that somebody changed by hand, or that two wrote at once.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use mongodb::bson::{Binary, Bson, Document, doc, spec::BinarySubtype};
use retention::{
    backup::{ReceiptId, UploadId},
    store::receipts::Receipt,
};
use serde_json::Value;

use super::{sha256, stored, verify};
use crate::{
    archives::{Sample, job, name},
    world::{Options, World, process::output, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_number_and_an_upload_have_one_receipt_whoever_comes_second() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let receipt = stored(&mut world, 1, &Sample::new(50).bytes()?).await?;
    let store = world.store()?;
    let first = store.newest_receipt().await?.context("there is one")?;
    ensure!(first.id.to_string() == receipt.get_str("_id")? && first.number == 1, "{first:?}");
    let id = ReceiptId::new([7; 32]);
    store.insert_statement_part(&id, 0, b"{}").await?;
    let upload = UploadId::new(1_600_000_000, 0);
    for second in [
        Receipt { id, upload: upload.clone(), ..first.clone() },
        Receipt { id, number: 2, ..first.clone() },
        Receipt { number: 2, upload, ..first.clone() },
    ] {
        ensure!(!store.add_receipt(&second).await?, "{second:?} was added");
    }
    // Whoever comes second takes its statement out, and never one of a receipt.
    store.drop_statement(&id).await?;
    store.drop_statement(&first.id).await?;
    let parts = world.database().collection::<Document>("receipts.chunks");
    ensure!(parts.distinct("files_id", doc! {}).await? == [Bson::from(first.id.to_string())]);
    ensure!(verify(&world, &job(1))?.0 == Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_changed_is_found_without_the_archive() -> Result<()> {
    let online = "[modes]\noffline = false\n".to_owned();
    let mut world = World::start(Options { sections: online, ..Options::default() }).await?;
    for n in 1..=2 {
        stored(&mut world, n, &Sample::new(n as usize * 50).bytes()?).await?;
        ensure!(verify(&world, &job(n))?.0 == Some(0));
    }
    let messages = world.database().collection::<Document>("messages");
    let found = messages.find_one(doc! { "backup": job(2), "version": 1 }).await?;
    let message = found.context("the second brought some")?;
    let id = doc! { "_id": message.get_str("_id")? };
    for (name, value) in
        [("raw.msgText", Bson::from("It was never said.")), ("medium", Bson::from("0".repeat(64)))]
    {
        messages.update_one(id.clone(), doc! { "$set": { name: value } }).await?;
        let (code, said) = verify(&world, &job(2))?;
        let part = "records of dataset message, some are not as they were stored.";
        ensure!(code == Some(1) && said.contains(part), "{name}: {said}");
        messages.replace_one(id.clone(), &message).await?;
        ensure!(verify(&world, &job(2))?.0 == Some(0), "{name}: it is as it was again");
    }
    // What is derived from what was delivered may be derived anew.
    messages.update_one(id, doc! { "$set": { "text": "Derived by other rules." } }).await?;
    let (code, said) = verify(&world, &job(2))?;
    ensure!(code == Some(0), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_changed_by_hand_is_named_by_receipt_verify() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let sample = Sample::new(50);
    for n in 1..=3 {
        stored(&mut world, n, &Sample::new(n as usize * 50).bytes()?).await?;
    }
    let database = world.database();
    let collection = |name: &str| database.collection::<Document>(name);
    let medium = |n: usize| (sample.entries()[n].0.clone(), sha256(&sample.entries()[n].1));
    let ((missing, missing_id), (changed, changed_id), (cut, cut_id)) =
        (medium(2), medium(3), medium(4));
    let of = |id: &str| doc! { "files_id": id };
    let kept = world.state_directory().join("archive/2021").join(name(2));
    until("the archive is kept", || async { Ok(kept.exists()) }).await?;
    let mut archive = fs::read(&kept)?;
    archive[100] ^= 1;

    collection("media.files").delete_one(doc! { "_id": &missing_id }).await?;
    let mut chunk = collection("media.chunks").find_one(of(&changed_id)).await?.context("there")?;
    let mut data = chunk.get_binary_generic_mut("data")?.clone();
    data[0] ^= 1;
    chunk.insert("data", Binary { subtype: BinarySubtype::Generic, bytes: data });
    let id = doc! { "_id": chunk.get_object_id("_id")? };
    collection("media.chunks").replace_one(id, chunk).await?;
    collection("media.chunks").delete_many(of(&cut_id)).await?;
    collection("messages").delete_one(doc! { "_id": "m000070#1" }).await?;
    fs::write(&kept, archive)?;
    let (code, said) = verify(&world, &job(2))?;
    ensure!(code == Some(1) && said.contains("there are 5 differences"), "{said}");
    for part in [
        format!("The medium {missing} is missing: nothing is stored with SHA-256 {missing_id}"),
        format!("The medium {changed} was changed"),
        format!("The medium {cut} cannot be read: the stored medium {cut_id} cannot be read"),
        "Of the records of dataset message, 49 are in the database, and 50 were stored.".into(),
        format!("{} was changed: its SHA-256 is", kept.display()),
    ] {
        ensure!(said.contains(&part), "{part}: {said}");
    }
    fs::remove_file(&kept)?;
    let (_, said) = verify(&world, &job(2))?;
    ensure!(said.contains(&format!("The archive {} is not where it was kept.", name(2))), "{said}");

    // The receipts themselves.
    let receipts = collection("receipts.files");
    let second = receipts.find_one(doc! { "metadata.number": 2 }).await?.context("there")?;
    let id = second.get_str("_id")?.to_owned();
    receipts.delete_one(doc! { "_id": &id }).await?;
    let (code, said) = verify(&world, &job(3))?;
    ensure!(code == Some(1) && said.contains("Receipt 2 is missing."), "{said}");
    receipts.insert_one(&second).await?;
    collection("receipts.chunks").delete_many(of(&id)).await?;
    let (_, said) = verify(&world, &job(3))?;
    ensure!(said.contains("The statement of receipt 2 is gone"), "{said}");
    let first = receipts.find_one(doc! { "metadata.number": 1 }).await?.context("there")?;
    let signature = first.get_document("metadata")?.get_str("signature")?;
    let third = doc! { "metadata.number": 3 };
    let forged = doc! { "$set": { "metadata.signature": signature } };
    receipts.update_one(third, forged).await?;
    let (_, said) = verify(&world, &job(3))?;
    ensure!(said.contains("The signature of receipt 3 is bad"), "{said}");

    // Another appliance's key, and nothing is known of the one before.
    collection("receipts.keys").drop().await?;
    let other = world.directory().join("other");
    output(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&other))?;
    let own = world.state_directory().join("receipts/signing_key.pub");
    let ours = fs::read(&own)?;
    fs::copy(other.with_extension("pub"), &own)?;
    let (code, said) = verify(&world, &job(1))?;
    ensure!(code == Some(1) && said.contains("which is none of the keys"), "{said}");
    let signers = world.directory().join("signers");
    fs::write(&signers, ours)?;
    let signers = signers.to_string_lossy().into_owned();
    let (_, said, _) = world.run(&["receipt", "verify", "1", "--signers", &signers, "--json"])?;
    let said: Value = serde_json::from_str(&said)?;
    let differences = said["checked"]["differences"].as_array().context("differences")?;
    ensure!(differences.iter().all(|one| one["kind"] == "medium"), "{said}");
    Ok(())
}
