# SPDX-License-Identifier: Apache-2.0
# bash completion of nestbox(1); needs nothing but bash.

_nestbox_verbs='exec shell run wrap ps enter kill metrics audit identity policy doctor check delegate collect version help'
_nestbox_options='-B --bind --pwd -S --scratch --job-dir --env -e --cleanenv --memory --cpus --pids-limit --profile --policy --seccomp --secret --user --as-root
	-t --tty -n --net -p --pid -i --ipc -u --userns --explain --json --status-fd'

_nestbox_words()
{
	local word
	for word in $1; do
		[[ $word == "$2"* ]] && COMPREPLY+=("$word")
	done
}

_nestbox_paths() # compgen's switches, what was typed, what stands before it
{
	local path
	while IFS= read -r path; do
		[[ -d $path && $path != */ ]] && path+=/
		COMPREPLY+=("$3$path")
	done < <(compgen "$1" -- "$2")
	compopt -o nospace -o filenames 2>/dev/null
}

# The value of an option of exec, shell and run. Fails when the option takes none that can be told.
_nestbox_value()
{
	case $1 in
	--profile) _nestbox_words 'nested strict' "$2" ;;
	--policy | --seccomp) _nestbox_paths -f "$2" '' ;;
	-S | --scratch | --job-dir | --pwd) _nestbox_paths -d "$2" '' ;;
	-B | --bind) _nestbox_paths -f "${2##*[:,]}" "${2%"${2##*[:,]}"}" ;;
	--env | --memory | --cpus | --pids-limit | --secret | --user | --status-fd) ;;
	*) return 1 ;;
	esac
}

# The value that begins at word i of the option before it; readline makes words of their own of '=' and ':'. Sets i to its last word;
# fails when the value is the word that is being completed, after completing it.
_nestbox_skip_value()
{
	local option=${COMP_WORDS[i++]}
	[[ ${COMP_WORDS[i]} == = ]] && ((i < COMP_CWORD)) && ((i++))
	while ((i < COMP_CWORD)) && [[ ${COMP_WORDS[i + 1]-} == : ]]; do
		((i += i + 2 > COMP_CWORD ? 1 : 2))
	done
	((i < COMP_CWORD)) && return 0
	cur=${cur#[=:]}
	_nestbox_value "$option" "$cur"
	return 1
}

# exec, shell, run: options, then IMAGE, then a command, which is completed as the shell would.
_nestbox_run()
{
	local cur=$1 i
	for ((i = 2; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--*=*) ;;
		--bind | --pwd | --scratch | --job-dir | --env | --memory | --cpus | --pids-limit | --profile | --policy | --seccomp | --secret | --user | --status-fd | -B | -S)
			_nestbox_skip_value || return 0
			;;
		-*) ;;
		*)
			if ((i == COMP_CWORD - 1)) && [[ ${COMP_WORDS[1]} == exec ]]; then
				_nestbox_paths -c "$cur" ''
			else
				_nestbox_paths -f "$cur" ''
			fi
			return 0
			;;
		esac
	done
	case $cur in
	--*=*) _nestbox_value "${cur%%=*}" "${cur#*=}" ;;
	-*) _nestbox_words "$_nestbox_options --help" "$cur" ;;
	*) _nestbox_paths -d "$cur" '' ;;
	esac
	return 0
}

_nestbox_beside()
{
	local cur=$1 verb=${COMP_WORDS[1]} before=${COMP_WORDS[COMP_CWORD - 1]}
	case $verb/$before in
	identity/--format) _nestbox_words 'text json classad env consul' "$cur" ;;
	identity/--from) _nestbox_paths -d "$cur" '' ;;
	audit/--from | */--output | audit/--index) _nestbox_paths -f "$cur" '' ;;
	audit/audit) _nestbox_words 'find show verify tail report prune index' "$cur" ;;
	policy/policy) _nestbox_words 'check show explain compile schema' "$cur" ;;
	identity/*) _nestbox_words '--format --from --output --publish --help' "$cur" ;;
	ps/*) _nestbox_words '--json --help' "$cur" ;;
	enter/*) _nestbox_words '--pwd --help' "$cur" ;;
	kill/*) _nestbox_words '--grace --help' "$cur" ;;
	metrics/--format) _nestbox_words 'prometheus openmetrics' "$cur" ;;
	metrics/--logs) _nestbox_paths -d "$cur" '' ;;
	metrics/--state) _nestbox_paths -f "$cur" '' ;;
	metrics/*) _nestbox_words '--output --format --logs --state --help' "$cur" ;;
	check/--policy | doctor/--policy) _nestbox_paths -f "$cur" '' ;;
	check/*) _nestbox_words '--json --classad --classad=node --prometheus --user --timeout --policy --help' "$cur" ;;
	doctor/*) _nestbox_words '--json --user --policy --help' "$cur" ;;
	collect/*) _nestbox_words '--socket --log --user --launcher --any-executable --rotate --rate --background --help' "$cur" ;;
	delegate/*) _nestbox_words '--user --group --help' "$cur" ;;
	policy/*) if [[ $cur == -* ]]; then _nestbox_words '--json --output --built-in --sysconfdir --help' "$cur"
		else _nestbox_paths -f "$cur" ''; fi ;;
	audit/*) [[ $cur == -* ]] && _nestbox_words "--from --since --until --time --where --json --jsonl --csv --index --no-index
		--id --job --owner --dn --subject --task --container --image --host --pid --exe-hash --secret --cgroup --uid --vo --issuer
		--policy --outcome --action --help" "$cur" ;;
	esac
}

_nestbox()
{
	local cur=${COMP_WORDS[COMP_CWORD]}
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		_nestbox_words "$_nestbox_verbs" "$cur"
		return 0
	fi
	case ${COMP_WORDS[1]} in
	exec | shell | run) _nestbox_run "$cur" ;;
	help) ((COMP_CWORD > 2)) || _nestbox_words "$_nestbox_verbs" "$cur" ;;
	wrap) _nestbox_paths -f "$cur" '' ;; # nothing after it is an option
	*) _nestbox_beside "$cur" ;;
	esac
	return 0
}

complete -F _nestbox nestbox
