#!/bin/sh
# Writes RabbitMQ's users from the environment to memory, then becomes the broker.
#
# Each service has a user of its own. It declares the shared exchanges and delay queues, which all
# services do, and its own queues; it can read or redeclare no other service's queue. Nobody is an
# administrator: `rabbitmqctl` in this container does that.
set -eu

definitions=/run/shanmen/definitions.json
shared='shanmen[.](events|dead|retry[.].+)'
users=
permissions=

# USER QUEUES VARIABLE: a user, the first word of its queues' names, and who knows its password.
add_user() {
  eval "password=\${$3:-}"
  case $password in
    '' | *[!A-Za-z0-9_-]*)
      echo "start.sh: set $3 to letters, digits, - and _ only: it becomes part of an address" >&2
      exit 1
      ;;
  esac
  own="$shared|$2[.].+"
  users="$users${users:+,}"'{"name":"'$1'","password":"'$password'","tags":""}'
  permissions="$permissions${permissions:+,}"'{"user":"'$1'","vhost":"shanmen"'
  permissions="$permissions"',"configure":"^('$own')$","read":"^('$own')$"'
  permissions="$permissions"',"write":"^(amq[.]default|'$own')$"}'
}

add_user catalog catalog CATALOG_BROKER_PASSWORD
add_user orders orders ORDERS_BROKER_PASSWORD
add_user settlement settlement SETTLEMENT_BROKER_PASSWORD
add_user verification verification VERIFICATION_BROKER_PASSWORD
add_user gateway-adapters gateway GATEWAY_ADAPTERS_BROKER_PASSWORD

umask 077
printf '{"vhosts":[{"name":"shanmen"}],"users":[%s],"permissions":[%s]}\n' \
  "$users" "$permissions" >"$definitions"

unset password CATALOG_BROKER_PASSWORD ORDERS_BROKER_PASSWORD SETTLEMENT_BROKER_PASSWORD \
  VERIFICATION_BROKER_PASSWORD GATEWAY_ADAPTERS_BROKER_PASSWORD
exec docker-entrypoint.sh "$@"
