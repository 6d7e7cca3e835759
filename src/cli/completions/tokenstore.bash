# bash completion for tokenstore(1). Never completes ids or tokens: it opens no database.

_tokenstore_words() {
  case $1 in
    "") echo "init issue list show validate expire revoke delete purge owner policy key check pattern stats backup restore copy journal keygen completion" ;;
    init | pattern | check | stats | show) echo "" ;;
    keygen | completion) echo "" ;;
    issue) echo "--scope --description --lifetime --not-before --metadata --metadata-file" ;;
    list) echo "--owner --state --text --cursor --limit --all --count" ;;
    validate) echo "--scope --client-address" ;;
    expire) echo "--at --in" ;;
    revoke) echo "--reason" ;;
    delete) echo "--yes" ;;
    purge) echo "--before --yes" ;;
    backup) echo "--overwrite" ;;
    restore) echo "--overwrite --delete-extra" ;;
    copy) echo "--from --to --delete-extra" ;;
    owner) echo "show list suspend resume allow revoke-all" ;;
    policy) echo "show set" ;;
    key) echo "list status add activate retire remove reseal" ;;
    journal) echo "show verify accept heal" ;;
    "journal accept") echo "--yes" ;;
    "journal show") echo "--from --to --owner --token --actor --kind --after --follow" ;;
    "key retire" | "key remove") echo "--yes" ;;
    "owner list") echo "--cursor --limit --all" ;;
    "owner suspend") echo "--reason" ;;
    "owner allow") echo "--issue --use" ;;
    "owner revoke-all") echo "--reason --yes" ;;
    "policy set") echo "--tokens-enabled --users-may-issue --never-allowed --longest --default --most-active" ;;
  esac
}

_tokenstore() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local globals="--db --schema --key-file --key-credential --key-file-trust --journal --workspace --prefix --as --json --quiet --read-only --help --version"
  local command="" word skip="" i
  COMPREPLY=()

  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ -n $skip ]]; then
      skip=""
      continue
    fi
    case $word in
      --json | --quiet | -q | --read-only | --help | -h | --version | --all | --count | --yes | -y | --delete-extra | --overwrite | --follow | -f) ;;
      --*=*) ;;
      -*) skip=1 ;;
      *)
        if [[ -z $command ]]; then
          command=$word
        elif [[ $command == owner || $command == policy || $command == key || $command == journal ]]; then
          command="$command $word"
        fi
        ;;
    esac
  done

  local values=""
  case $previous in
    --db | --key-file | --journal | --metadata-file)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
    --key-file-trust) values="group-readable-of-root world-readable-of-root inherited-descriptor" ;;
    --as) values="host user: administrator:" ;;
    --state) values="active pending expired revoked any" ;;
    --lifetime | -l) values="default never 1d 7d 30d 90d" ;;
    --issue | --use | --tokens-enabled | --users-may-issue | --never-allowed) values="yes no" ;;
    --kind) values="issued revoked expired removed purged suspended resumed owner_set all_revoked policy_set workspace_made resealed learned healed key_added key_activated key_retired key_removed accepted" ;;
    --longest) values="unlimited 30d 90d 366d" ;;
  esac
  if [[ -n $skip ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current")
    return
  fi

  case $command in
    keygen)
      if [[ $current != -* ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
      fi
      ;;
    completion)
      if [[ $current != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "bash zsh" -- "$current")
        return
      fi
      ;;
  esac

  local words
  words=$(_tokenstore_words "$command")
  [[ $current == -* ]] && words="$words $globals"
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _tokenstore tokenstore
