#!/usr/bin/env bash
# What the tests need beyond Rust and Python: a real redis-server, a real browser and strace. Installs them where it can.
set -u
missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
command -v strace >/dev/null || missing+=(strace)
[ ${#missing[@]} -eq 0 ] && exit 0
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo -n"
if command -v apt-get >/dev/null; then
  echo "installing ${missing[*]} with apt-get" >&2
  if $sudo apt-get update -q >/dev/null 2>&1 && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q "${missing[@]}" >/dev/null 2>&1; then
    exit 0
  fi
fi
echo "could not install ${missing[*]}: the tests that need them will skip and say so" >&2
exit 0
