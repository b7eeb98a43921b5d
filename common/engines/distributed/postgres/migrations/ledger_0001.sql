-- Everything lies in its own schema and is named with it, so that no search_path
-- is needed (a pooler in transaction mode keeps none) and nothing clashes.

CREATE TABLE flux.products (
  product_id text COLLATE "C" PRIMARY KEY,
  stock      bigint NOT NULL,
  confirmed  bigint NOT NULL DEFAULT 0,
  buckets    integer NOT NULL,
  CHECK (confirmed BETWEEN 0 AND stock)
);

CREATE TABLE flux.offsets (
  consumer_group text COLLATE "C" NOT NULL,
  topic          text COLLATE "C" NOT NULL,
  partition      integer NOT NULL,
  epoch          bigint NOT NULL,
  next_offset    bigint NOT NULL,
  PRIMARY KEY (consumer_group, topic, partition)
);

CREATE TABLE flux.orders (
  order_id    uuid PRIMARY KEY,
  product_id  text NOT NULL,
  bucket      integer NOT NULL,
  quantity    bigint NOT NULL,
  user_id     text NOT NULL,
  status      smallint NOT NULL, -- 1 confirmed, 2 rejected
  accepted_at timestamptz NOT NULL,
  settled_at  timestamptz NOT NULL
);

CREATE TABLE flux.workflows (
  workflow_id uuid PRIMARY KEY,
  name        text NOT NULL,
  version     bigint NOT NULL,
  steps       text NOT NULL -- a JSON array
);

CREATE TABLE flux.runs (
  run_id           uuid PRIMARY KEY,
  workflow_id      uuid NOT NULL,
  workflow_version bigint NOT NULL,
  status           smallint NOT NULL, -- 0 queued, 1 running, 2 succeeded, 3 failed
  input            text NOT NULL,
  created_at       timestamptz NOT NULL,
  finished_at      timestamptz,
  steps            text NOT NULL -- a JSON array
);
CREATE INDEX runs_by_status ON flux.runs (status, run_id);
CREATE INDEX runs_by_workflow ON flux.runs (workflow_id, run_id);

CREATE TABLE flux.jobs (
  job_id     uuid PRIMARY KEY,
  type       text COLLATE "C" NOT NULL,
  payload    bytea NOT NULL,
  priority   integer NOT NULL,
  status     smallint NOT NULL, -- 0 waiting, 1 running, 2 succeeded, 3 dead
  attempts   integer NOT NULL,
  due_at     timestamptz NOT NULL, -- when a waiting job may start, or the lease of a running one ends
  last_error text
);
CREATE INDEX jobs_open ON flux.jobs (type, priority DESC, due_at, job_id) WHERE status IN (0, 1);

CREATE TABLE flux.audit (
  audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at       timestamptz NOT NULL,
  actor    text NOT NULL,
  action   text NOT NULL,
  detail   text NOT NULL -- a JSON object
);
