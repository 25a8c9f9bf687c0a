"""An invented furniture company and the backups that it would have made.

The way through the modules: `people` says who exists on a day, `talk` and
`speech` give them something to say, `attachments` something to share, `history`
makes one day of it, and `backup` packs that day as an archive.

It is for demonstrations and tests. It must never hold a real person's data.
"""
