-- gdiamond, schema version 2: the origin of a change, and the mark of a store that
-- programs of before must refuse.

-- A program of version 1 that still runs leaves the column out. MySQL has no ADD COLUMN
-- IF NOT EXISTS.
SET @gdiamond = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
    AND table_name = 'diamond_change' AND column_name = 'origin') = 0,
  'ALTER TABLE diamond_change ADD COLUMN origin VARBINARY(32) NOT NULL DEFAULT ''''', 'DO 0');
PREPARE gdiamond FROM @gdiamond;
EXECUTE gdiamond;
DEALLOCATE PREPARE gdiamond;

-- From the first change that has an origin or a key of a system namespace on, the number of
-- the store's format follows its id. A program of version 1 that still runs takes the
-- longer value for a damaged one: it can neither follow the store, nor commit, nor fork.
ALTER TABLE diamond_counter MODIFY COLUMN store VARBINARY(17) NOT NULL;

INSERT IGNORE INTO diamond_schema (version) VALUES (2);
