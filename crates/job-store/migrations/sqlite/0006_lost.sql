-- Whether the stored position was found lost, and its gap is on record: 1 until another takes its
-- place.
ALTER TABLE stream ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
