package runner

import (
	"path"
	"strings"
	"sync"
)

// does is what a program makes of its words.
type does int

const (
	runsShell   does = iota // a script after -c, else a file
	runsFile                // a file, unless an option has the script
	runsAlways              // a file, also where an option has a script
	runsCode                // the first operand is the script, unless an option has it
	runsAll                 // so are all that follow
	runsNothing             // only options have scripts
	runsCommand             // the rest is a command
	runsLine                // words are given to a shell
	runsFound               // find
)

// program is what is known of one: its options are the letters of short ones and
// the names of long ones. In longs a name ends in "=" where a value follows, in
// "?" where one may follow in the same word, in "!" where the value is a script,
// in "<" where it is a file with one, in "1" where it is NAME=TEXT and in "2"
// where it is two words, a name and a text.
type program struct {
	does   does
	skip   int    // operands ahead of the command or the script
	flags  string // no value
	info   string // no value, and nothing is run
	values string // with a value
	tails  string // with a value in the same word, if any
	code   string // with a script
	files  string // with the file of a script
	module string // with the name of a script; the rest is data
	data   string // with NAME=TEXT
	longs  string

	ends    bool // after an option with the script all is data
	stops   bool // no options are looked for after the first operand
	oneDash bool // long options have one dash
	anyLong bool // every long option is a flag
	opens   bool // without a command it runs a shell
	reader  bool // without a script it runs what it reads
	assigns bool // operands NAME=TEXT set variables
	appends bool // words from stdin are added to the command: xargs
}

// lookUp is the program that argv calls, nil if the table does not have it, and
// how many words name it.
func lookUp(argv []string) (p *program, words int) {
	name := path.Base(argv[0])
	if len(argv) > 1 {
		if p := programs()[name+" "+argv[1]]; p != nil {
			return p, 2
		}
	}
	if p := programs()[name]; p != nil {
		if p.does == runsLine && strings.Contains(argv[0], "/") && !strings.HasSuffix(path.Dir(argv[0]), "bin") {
			return nil, 1 // ./watch is a script of the user's own
		}
		return p, 1
	}
	name = strings.TrimSuffix(name, "-static")
	return programs()[strings.TrimRight(name, "0123456789.-")], 1
}

// programs is the table. It is made at first use: every command would pay for it
// otherwise.
var programs = sync.OnceValue(func() map[string]*program {
	table := map[string]*program{}
	add := func(names string, p program) {
		for name := range strings.SplitSeq(names, ",") {
			table[name] = &p
		}
	}
	addShells(add)
	addInterpreters(add)
	addFilters(add)
	addWrappers(add)
	addLines(add)
	return table
})

func addShells(add func(string, program)) {
	add("sh,dash,ash,bash,rbash,ksh,rksh,mksh,lksh,oksh,pdksh,yash,posh,csh,tcsh", program{
		does: runsShell, values: "oO", stops: true,
		longs: "rcfile= init-file= norc noprofile posix login verbose restricted noediting debugger",
	})
	add("zsh,rzsh", program{does: runsShell, values: "o", longs: "emulate=", anyLong: true, stops: true})
	add("fish", program{
		does: runsFile, flags: "ilnPN", values: "dDopf", code: "cC", stops: true,
		longs: "command! init-command! interactive login no-config private no-execute debug= debug-output= profile= features=",
	})
	add("elvish,nu,xonsh,osh,ysh", program{
		does: runsFile, flags: "ilnN", code: "cC", stops: true, longs: "command! commands!",
	})
	add("pwsh,powershell", program{
		does: runsFile, oneDash: true, stops: true,
		longs: "c! Command! command! EncodedCommand! e! File< file< f< NoProfile NonInteractive NoLogo",
	})
}

func addInterpreters(add func(string, program)) {
	add("python,pypy,ipython,micropython", program{
		does: runsFile, flags: "bBdEhiIOPqsSuvx?", info: "V", values: "WX", code: "c", module: "m", ends: true, stops: true,
	})
	add("perl", program{
		does: runsFile, flags: "aclfnpsStTuUwWX", info: "v", values: "I", tails: "CDdFiMmVx", code: "eE", stops: true,
	})
	add("ruby,jruby,truffleruby", program{
		does: runsFile, flags: "aclnpsSvwU", values: "CEIr", tails: "FiKTWx", code: "e", stops: true, longs: "disable= enable= yjit jit",
	})
	add("node,nodejs,bun,tsx,ts-node,qjs,d8", program{
		does: runsFile, oneDash: true, stops: true,
		longs: "e! p! pe! i c h v r= C= eval! print! interactive check require= import= no-warnings trace-warnings experimental-strip-types input-type=",
	})
	add("deno eval", program{does: runsCode, longs: "ext= print"})
	add("php", program{
		does: runsFile, flags: "anqswCHe", info: "vim", values: "cdzS", code: "rBRE", files: "fF", stops: true,
		longs: "run! process-code! process-begin! process-end! file< process-file< define=",
	})
	add("lua,luajit,texlua", program{does: runsAlways, flags: "iEW", info: "v", values: "lj", code: "e"})
	add("tclsh,wish,expect", program{does: runsFile, flags: "bdiN", values: "C", code: "c", files: "f"})
	add("guile,csi,racket,scheme", program{does: runsFile, flags: "q", values: "lLx", code: "ce", files: "s"})
	add("Rscript,julia,elixir,groovy,scala,raku,crystal,swipl,octave,gnuplot,osascript,ghc", program{
		does: runsFile, values: "lsgpPt", flags: "iqv", code: "eE", stops: true,
		longs: "eval! print! vanilla no-save quiet silent startup-file= project= no-gui",
	})
	add("emacs,emacsclient", program{does: runsNothing, code: "e", files: "l", longs: "eval! batch load< script< execute! quick"})
	add("gdb,lldb", program{does: runsNothing, code: "o", files: "xs", longs: "eval-command! ex! iex! command< one-line!", oneDash: true})
	add("psql", program{
		does: runsNothing, values: "dhpULoFRPT", code: "c", files: "f", data: "v", reader: true,
		flags: "aAbeEHlnqsStwWxXz01", longs: "command! file< set1 variable1 dbname= host= port= username= no-psqlrc quiet tuples-only csv",
	})
	add("mysql,mariadb,mycli,pgcli,litecli,duckdb,clickhouse-client,mongosh,cockroach", program{
		does: runsNothing, values: "uhPDS", flags: "NBstr", code: "ecq", files: "f", reader: true,
		longs: "execute! eval! query! command! file< user= host= port= database= batch silent skip-column-names",
	})
	add("sqlite,sqlite3", program{
		does: runsAll, skip: 1, oneDash: true, reader: true,
		longs: "cmd! init< separator= nullvalue= newline= mmap= bail batch column csv echo header noheader html interactive json line list markdown quote readonly safe table tabs box",
	})
}

func addFilters(add func(string, program)) {
	add("awk,gawk,mawk,nawk,original-awk,goawk", program{
		does: runsCode, flags: "bcCghnNOPrsStVk", values: "FlLWoD", code: "e", files: "fEi", data: "v", stops: true,
		longs: "source! file< exec< include< assign1 field-separator= posix sandbox re-interval csv",
	})
	add("sed,gsed,ssed", program{
		does: runsCode, flags: "nErsuzb", values: "l", tails: "i", code: "e", files: "f",
		longs: "expression! file< in-place? quiet silent regexp-extended null-data separate unbuffered follow-symlinks posix sandbox debug line-length=",
	})
	add("jq,gojq,jaq,yq,yq eval,yq e,yq eval-all,yq ea", program{
		does: runsCode, flags: "nrcsSCMajeRfhV", values: "L",
		longs: "arg2 argjson2 slurpfile2 rawfile2 args jsonargs indent= tab null-input raw-output raw-output0 compact-output slurp sort-keys " +
			"color-output monochrome-output ascii-output join-output exit-status raw-input unbuffered stream stream-errors seq from-file library-path=",
	})
	add("at,batch", program{does: runsNothing, flags: "mMlrdvVbc", values: "qt", files: "f", reader: true})
	add("dc", program{does: runsFile, code: "e", files: "f", longs: "expression! file<"})
}

func addWrappers(add func(string, program)) {
	wrap := func(names string, p program) {
		p.does = runsCommand
		add(names, p)
	}
	wrap("busybox,toybox,nohup,command,exec,builtin,catchsegv,fakeroot,dbus-run-session,torsocks,linux32,linux64,pkexec,tini,dumb-init,unbuffer,choom,eatmydata,ltrace,valgrind", program{
		flags: "pvVg", values: "n", longs: "disable-internal-agent keep-cwd user= config-file=",
	})
	wrap("env", program{flags: "i0v", values: "uC", assigns: true, code: "S",
		longs: "ignore-environment null unset= chdir= split-string! default-signal? ignore-signal? block-signal? debug"})
	wrap("sudo", program{flags: "AbBEHnPSkKNis", values: "CDghpRrTtUu", assigns: true, opens: true,
		longs: "askpass background preserve-env? set-home non-interactive stdin login shell user= group= chdir= chroot= prompt= host= role= type= close-from="})
	wrap("doas", program{flags: "Lns", values: "aCu", opens: true})
	wrap("gosu,su-exec,setuidgid,chpst,softlimit", program{skip: 1})
	wrap("nice", program{values: "n", longs: "adjustment="})
	wrap("timeout,gtimeout", program{skip: 1, flags: "vfp", values: "ks", longs: "foreground preserve-status verbose kill-after= signal="})
	wrap("setsid", program{flags: "cfw", longs: "ctty fork wait"})
	wrap("stdbuf", program{values: "ioe", longs: "input= output= error="})
	wrap("ionice", program{flags: "t", values: "cnpPu", longs: "class= classdata= ignore"})
	wrap("chrt", program{skip: 1, flags: "abdfiomrRv", values: "TPD", longs: "batch deadline fifo idle other rr reset-on-fork all-tasks verbose sched-runtime= sched-period= sched-deadline="})
	wrap("taskset", program{skip: 1, flags: "acp", longs: "all-tasks cpu-list pid"})
	wrap("xargs,gxargs", program{flags: "0eoprtx", values: "adEILnPs", tails: "il", appends: true,
		longs: "null no-run-if-empty interactive verbose exit open-tty max-args= max-procs= max-chars= max-lines? delimiter= arg-file= replace? eof? process-slot-var="})
	wrap("time", program{flags: "apqvV", values: "fo", longs: "append portability quiet verbose format= output="})
	wrap("unshare", program{flags: "muinpUCTrfc", values: "RwSGl", opens: true,
		longs: "mount? uts? ipc? net? pid? user? cgroup? time? fork map-root-user map-current-user map-auto mount-proc? kill-child? root= wd= setuid= setgid= propagation= setgroups= map-user= map-group="})
	wrap("nsenter", program{flags: "FZea", tails: "muinpUCTrw", values: "tSGW", opens: true,
		longs: "all target= mount? uts? ipc? net? pid? user? cgroup? time? root? wd? setuid= setgid= no-fork env preserve-credentials"})
	wrap("chroot", program{skip: 1, opens: true, longs: "userspec= groups= skip-chdir"})
	wrap("systemd-run", program{flags: "drtPGqS", values: "pEuHM",
		longs: "user system scope pty pipe wait collect quiet no-block no-ask-password remain-after-exit send-sighup same-dir shell unit= property= description= slice= slice-inherit uid= gid= nice= setenv= working-directory= on-active= on-boot= on-calendar= service-type= host= machine="})
	wrap("flatpak-spawn", program{flags: "v",
		longs: "verbose host sandbox clear-env watch-bus no-network forward-fd= latest-version env= unset-env= directory= sandbox-expose= sandbox-expose-ro= sandbox-flag="})
	wrap("bwrap", program{})
	wrap("firejail", program{longs: "quiet noprofile private? net= profile="})
	wrap("strace", program{flags: "cCdfiknqrtTvwxyYzZ", values: "aAbeEIoOpPsSuUX", longs: "output="})
	wrap("prlimit", program{longs: "nofile= nproc= as= cpu= core= rss= stack= fsize= data= memlock=", tails: "ncvsdflmtu"})
	wrap("setpriv", program{longs: "reuid= regid= clear-groups keep-groups init-groups inh-caps= bounding-set= no-new-privs reset-env groups= pdeathsig="})
	wrap("numactl", program{flags: "l", values: "NmCip"})
	wrap("xvfb-run", program{flags: "al", values: "efnpsw", longs: "auto-servernum server-num= server-args="})
	wrap("proxychains,proxychains4", program{flags: "q", values: "f"})
	wrap("docker exec,podman exec,nerdctl exec", program{skip: 1, flags: "itd", values: "euw", longs: "interactive tty detach privileged env= user= workdir= env-file= detach-keys="})
	wrap("docker run,podman run,nerdctl run", program{skip: 1, flags: "itdP", values: "evwupmlhc",
		longs: "rm interactive tty detach init privileged read-only env= volume= workdir= user= name= network= publish= mount= memory= cpus= hostname= env-file= platform= pull= label="})
	wrap("kubectl exec", program{skip: 1, flags: "itq", values: "cnf", longs: "stdin tty quiet container= namespace= context="})
	wrap("runuser -u,runuser --user", program{skip: 1})
	wrap("flock", program{skip: 1, flags: "sxeunoF", values: "wE", code: "c",
		longs: "shared exclusive unlock nonblock no-fork close command! timeout= conflict-exit-code="})
	wrap("distrobox enter,toolbox run", program{values: "nce", longs: "name= container="})
	add("find,gfind", program{does: runsFound})
}

func addLines(add func(string, program)) {
	line := func(names string, p program) {
		p.does = runsLine
		add(names, p)
	}
	line("ssh,autossh,mosh,sshpass,dropbear,dbclient,rsh", program{skip: 1, opens: true, values: "BbcDEeFIiJLlmOopQRSWwM"})
	line("su,runuser", program{skip: 1, opens: true, code: "c", values: "gGswu"})
	line("eval,watch,gwatch,script,scriptlive,sg,newgrp,machinectl,entr", program{opens: true, code: "c", values: "nfqI"})
	line("parallel,sem", program{opens: true, appends: true, values: "jnNILSP"})
	line("tmux,screen,xterm,uxterm,urxvt,konsole,gnome-terminal,kitty,alacritty,foot,xdotool,ydotool", program{})
	line("vi,vim,nvim,view,gvim,vimdiff", program{})
	line("make,gmake,bmake,remake,ninja,just", program{files: "f"})
	line("ed,red,ex,m4", program{reader: true})
}
