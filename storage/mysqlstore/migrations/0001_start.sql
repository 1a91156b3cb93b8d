-- gdiamond, schema version 1: the change log, the current view, the counter.
--
-- For MySQL 5.7 and later and MariaDB 10.5 and later. All names and contents
-- are bytes: no column has a character set, and keys are compared byte by byte.
-- Times are microseconds since 1970, UTC: FROM_UNIXTIME(time_us / 1e6). Only
-- gdiamond may write to these tables. Each statement ends with a semicolon at
-- the end of a line, and may be run more than once.

-- The applied versions of the schema.
CREATE TABLE IF NOT EXISTS diamond_schema (
  version INT NOT NULL,
  PRIMARY KEY (version)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET binary;

-- One row, which every writing transaction locks first, so that revisions are
-- dense and in commit order.
CREATE TABLE IF NOT EXISTS diamond_counter (
  id                 TINYINT    NOT NULL, -- 1
  store              BINARY(16) NOT NULL, -- id of the store, never changes
  origin             TINYINT    NOT NULL, -- source of the history: 0 none, 1 another store, of which this is a copy, 2 this store
  revision           BIGINT     NOT NULL, -- of the newest change set
  generation         BIGINT     NOT NULL, -- of the epoch at revision
  epoch              BINARY(16) NOT NULL,
  chain              BINARY(32) NOT NULL, -- SHA-256 over all changes up to revision
  log_changes        BIGINT     NOT NULL, -- number of changes that the log has had
  log_bytes          BIGINT     NOT NULL, -- bytes of content that the log has had
  horizon            BIGINT     NOT NULL, -- the revision after which the log begins; the columns below are of that revision
  horizon_generation BIGINT     NOT NULL,
  horizon_epoch      BINARY(16) NOT NULL,
  horizon_chain      BINARY(32) NOT NULL,
  horizon_changes    BIGINT     NOT NULL,
  horizon_bytes      BIGINT     NOT NULL,
  ahead              BIGINT     NOT NULL, -- in a copy, the newest installed revision
  PRIMARY KEY (id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET binary;

-- The change log, and all kept versions of all keys, each with its content.
CREATE TABLE IF NOT EXISTS diamond_change (
  revision    BIGINT         NOT NULL, -- of the change set
  number      INT            NOT NULL, -- in its set, from 0; below 0 if the row was installed in a copy
  set_size    INT            NOT NULL, -- number of changes in the set
  op          TINYINT        NOT NULL, -- 1 publish, 2 delete, 3 fork
  namespace   VARBINARY(128) NOT NULL,
  grp         VARBINARY(128) NOT NULL,
  data_id     VARBINARY(256) NOT NULL,
  type        VARBINARY(32)  NOT NULL,
  md5         VARBINARY(32)  NOT NULL, -- of the content, in hexadecimal
  sha256      BINARY(32)     NOT NULL, -- of the content
  size        BIGINT         NOT NULL, -- of the content, in bytes
  meta        BLOB           NOT NULL, -- a JSON object, or empty
  author      BLOB           NOT NULL,
  address     BLOB           NOT NULL,
  comment     BLOB           NOT NULL,
  time_us     BIGINT         NOT NULL,
  generation  BIGINT         NOT NULL, -- of the epoch at the revision
  epoch       BINARY(16)     NOT NULL,
  chain       BINARY(32)     NOT NULL, -- after the set
  ordinal     BIGINT         NOT NULL, -- number of this version of its key, from 1
  log_changes BIGINT         NOT NULL, -- value of the counter after the set
  log_bytes   BIGINT         NOT NULL,
  content     LONGBLOB       NOT NULL,
  PRIMARY KEY (revision, number),
  KEY diamond_change_key (namespace, grp, data_id, revision)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET binary;

-- The current view: the newest change of each key, without its content, which is in the
-- row (revision, number). A deleted key stays until its deletion has left the log.
CREATE TABLE IF NOT EXISTS diamond_entry (
  namespace VARBINARY(128) NOT NULL,
  grp       VARBINARY(128) NOT NULL,
  data_id   VARBINARY(256) NOT NULL,
  revision  BIGINT         NOT NULL,
  number    INT            NOT NULL,
  op        TINYINT        NOT NULL,
  ordinal   BIGINT         NOT NULL,
  type      VARBINARY(32)  NOT NULL,
  md5       VARBINARY(32)  NOT NULL,
  size      BIGINT         NOT NULL,
  meta      BLOB           NOT NULL,
  time_us   BIGINT         NOT NULL,
  PRIMARY KEY (namespace, grp, data_id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET binary;

-- The outcomes of change sets with a request id, for at least 24 hours.
CREATE TABLE IF NOT EXISTS diamond_request (
  revision   BIGINT     NOT NULL,
  request    BINARY(32) NOT NULL, -- SHA-256 of the principal and the id
  set_hash   BINARY(32) NOT NULL, -- of the change set
  generation BIGINT     NOT NULL,
  epoch      BINARY(16) NOT NULL,
  chain      BINARY(32) NOT NULL,
  time_us    BIGINT     NOT NULL,
  PRIMARY KEY (revision),
  UNIQUE KEY diamond_request_id (request)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET binary;

INSERT IGNORE INTO diamond_schema (version) VALUES (1);
