#!/bin/sh
# Makes one role and one database per service, both called shanmen_<service> and closed to every
# other role. PostgreSQL's image runs this once, on an empty data volume.
#
# Passwords come from the environment and reach psql through it, never through its command line.
set -eu

services='catalog orders settlement verification gateway_adapters'

password_of() {
  variable=$(echo "$1" | tr '[:lower:]' '[:upper:]')_DATABASE_PASSWORD
  eval "password=\${$variable:-}"
}

run_sql() {
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 \
    --username "$POSTGRES_USER" --dbname "${POSTGRES_DB:-$POSTGRES_USER}"
}

# All of them first: a data volume that is half made is not made again.
for service in $services; do
  password_of "$service"
  case $password in
    '' | *[!A-Za-z0-9_-]*)
      echo "10-databases.sh: set $variable to letters, digits, - and _ only: it becomes part of" \
        "an address. Then remove the data volume and start again." >&2
      exit 1
      ;;
  esac
done

for service in $services; do
  password_of "$service"
  export role="shanmen_$service" password
  run_sql <<'SQL'
\getenv role role
\getenv password password
-- A statement that fails is logged, and one of these holds the password.
SET log_min_error_statement = panic;
CREATE ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
ALTER ROLE :"role" SET statement_timeout = '15s';
ALTER ROLE :"role" SET lock_timeout = '5s';
ALTER ROLE :"role" SET idle_in_transaction_session_timeout = '60s';
CREATE DATABASE :"role" OWNER :"role" TEMPLATE template0;
REVOKE ALL ON DATABASE :"role" FROM PUBLIC;
SQL
done

# Open to every role when made: services have no business in these.
run_sql <<'SQL'
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
SQL
