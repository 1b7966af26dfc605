package claims_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

func TestMain(m *testing.M) { bothways.Main(m) }

// expressionClaims are those of Traefik Hub's documentation, and some that it has no example for.
const expressionClaims = `{
	"active": true,
	"grp": "admin",
	"scope": "reader writer deploy",
	"referrer": "http://example.com/foo/bar",
	"areas": ["office", "home"],
	"user": {"name": "John Snow", "status": "undead", "a.b": {"c": "dotted"}, "tags": ["x"]},
	"https://example.com/roles": ["editor"],
	"back\\slash": "yes",
	"dot.ted": "yes",
	"": "nameless",
	"quote\"d": "ye\"s",
	"n": 7, "big": 12345678901234567890, "fraction": 1.0, "exponent": 1e2, "no": false, "nothing": null, "empty": "", "none": [],
	"mixed": [1, true, "a,b", null, ["nested"], {"k": "v"}],
	"csv": "a, b,c", "tail": "a,b,", "unicode": "žluťoučký",
	"exp": 4000000000
}`

func TestExpressions(t *testing.T) {
	tests := []struct {
		expression string
		want       bool
	}{
		// Every example of Traefik Hub's documentation.
		{"Equals(`grp`, `admin`)", true},
		{"Prefix(`referrer`, `http://example.com`)", true},
		{"Contains(`referrer`, `/foo/`)", true},
		{"Contains(`areas`, `home`)", true},
		{"SplitContains(`scope`, ` `, `writer`)", true},
		{"OneOf(`areas`, `office`, `lab`)", true},
		{"Equals(`grp`, `admin`) && Equals(`active`, `true`)", true},
		{"Equals(`grp`, `admin`) || Equals(`active`, `true`)", true},
		{"!Equals(`grp`, `testers`)", true},
		{"Equals(`user.name`, `John Snow`)", true},

		{"Equals(`grp`, `Admin`)", false},
		{"Equals(`grp`, `adm`)", false},
		{"Equals(`grp`, ``)", false},
		{"Equals(`empty`, ``)", true},
		{"Equals(`absent`, ``)", false},
		{"Equals(`nothing`, ``)", false},
		{"Equals(`nothing`, `null`)", false},
		{"Equals(`active`, `True`)", false},
		{"Equals(`no`, `false`)", true},
		{"Equals(`n`, `7`)", true},
		{"Equals(`n`, `7.0`)", false},
		{"Equals(`big`, `12345678901234567890`)", true},
		{"Equals(`big`, `12345678901234567891`)", false},
		{"Equals(`fraction`, `1.0`)", true},
		{"Equals(`exponent`, `1e2`)", true},
		{"Equals(`areas`, `office`)", false},
		{"Equals(`areas`, `office,home`)", false},
		{"Equals(`user`, `John Snow`)", false},
		{"Equals(`none`, ``)", false},
		{"Equals(`exp`, `4000000000`)", true},
		{"Equals(`unicode`, `žluťoučký`)", true},

		{"Prefix(`referrer`, `https://`)", false},
		{"Prefix(`referrer`, ``)", true},
		{"Prefix(`referrer`, `http://example.com/foo/bar/`)", false},
		{"Prefix(`areas`, `off`)", false},
		{"Prefix(`n`, `7`)", false},
		{"Prefix(`active`, `t`)", false},
		{"Prefix(`absent`, ``)", false},

		{"Contains(`referrer`, `/baz/`)", false},
		{"Contains(`areas`, `hom`)", false},
		{"Contains(`areas`, `lab`)", false},
		{"Contains(`none`, ``)", false},
		{"Contains(`mixed`, `1`)", true},
		{"Contains(`mixed`, `true`)", true},
		{"Contains(`mixed`, `a,b`)", true},
		{"Contains(`mixed`, `a`)", false},
		{"Contains(`mixed`, `nested`)", false},
		{"Contains(`mixed`, `null`)", false},
		{"Contains(`mixed`, ``)", false},
		{"Contains(`user`, `name`)", true},
		{"Contains(`user`, `ada`)", false},
		{"Contains(`big`, `123`)", false},
		{"Contains(`absent`, ``)", false},

		{"SplitContains(`scope`, ` `, `write`)", false},
		{"SplitContains(`scope`, ` `, `reader writer`)", false},
		{"SplitContains(`scope`, `,`, `reader writer deploy`)", true},
		{"SplitContains(`csv`, `,`, `a`)", true},
		{"SplitContains(`csv`, `,`, `c`)", true},
		{"SplitContains(`csv`, `,`, ` b`)", true},
		{"SplitContains(`csv`, `, `, `b,c`)", true},
		{"SplitContains(`csv`, `,`, `b`)", false},
		{"SplitContains(`tail`, `,`, ``)", true},
		{"SplitContains(`csv`, `,`, ``)", false},
		{"SplitContains(`areas`, `,`, `home`)", false},
		{"SplitContains(`n`, `,`, `7`)", false},
		{"SplitContains(`absent`, `,`, ``)", false},

		{"OneOf(`areas`, `lab`)", false},
		{"OneOf(`areas`, `lab`, `home`, `garden`)", true},
		{"OneOf(`grp`, `user`, `admin`)", true},
		{"OneOf(`grp`, `user`, `adm`)", false},
		{"OneOf(`n`, `6`, `7`)", true},
		{"OneOf(`active`, `true`)", true},
		{"OneOf(`mixed`, `x`, `1`)", true},
		{"OneOf(`user`, `name`)", true},
		{"OneOf(`user`, `x`, `name`)", true},
		{"OneOf(`user`, `x`)", false},
		{"Equals(`user`, `name`)", false},
		{"OneOf(`absent`, ``)", false},

		// Operators, in Go's order.
		{"!Equals(`absent`, `x`)", true},
		{"!!Equals(`grp`, `admin`)", true},
		{"!(Equals(`grp`, `admin`) && Equals(`n`, `8`))", true},
		{"!Equals(`grp`, `admin`) && Equals(`n`, `8`)", false},
		{"!Equals(`grp`, `x`) && Equals(`n`, `7`)", true},
		{"Equals(`n`, `7`) || Equals(`n`, `8`) && Equals(`n`, `9`)", true},
		{"(Equals(`n`, `7`) || Equals(`n`, `8`)) && Equals(`n`, `9`)", false},
		{"Equals(`n`, `9`) && Equals(`n`, `8`) || Equals(`n`, `7`)", true},
		{"Equals(`n`, `9`) && (Equals(`n`, `8`) || Equals(`n`, `7`))", false},
		{"Equals(`n`, `8`) || Equals(`n`, `9`)", false},
		{"Equals(`n`, `7`) && Equals(`n`, `7`) && Equals(`n`, `8`)", false},
		{"Equals(`n`, `1`) || Equals(`n`, `2`) || Equals(`n`, `7`)", true},
		{"((((Equals(`n`, `7`)))))", true},
		{"Equals(`grp`,`admin`)&&Equals(`n`,`7`)", true},
		{"  Equals ( `grp` ,\n `admin` ) &&\n\tEquals(`n`, `7`)\n", true},
		{"Equals(`grp`, `admin`,)", true},
		{strings.Repeat("!", 100) + "Equals(`n`, `7`)", true},
		{strings.Repeat("Equals(`n`, `8`) || ", 200) + "Equals(`n`, `7`)", true},

		// Paths, and escapes in them.
		{"Equals(`user.status`, `undead`)", true},
		{"Equals(`user.absent`, `undead`)", false},
		{"Equals(`user.name.first`, `John`)", false},
		{"Equals(`grp.name`, `admin`)", false},
		{"Equals(`areas.0`, `office`)", false},
		{"Contains(`user.tags`, `x`)", true},
		{"Equals(`User.Name`, `John Snow`)", false},
		{"Equals(`dot.ted`, `yes`)", false},
		{"Equals(`dot\\.ted`, `yes`)", true},
		{"Equals(`user.a\\.b.c`, `dotted`)", true},
		{"Contains(`https://example\\.com/roles`, `editor`)", true},
		{"Contains(`https://example.com/roles`, `editor`)", true},
		{"Equals(`back\\\\slash`, `yes`)", true},
		{"Equals(`back\\slash`, `yes`)", true},
		{`Equals("back\\\\slash", "yes")`, true},
		{`Equals("dot\\.ted", "yes")`, true},
		{`Equals("grp", "admin")`, true},
		{`Equals("quote\"d", "ye\"s")`, true},
		{"Equals(`quote\"d`, `ye\"s`)", true},
		{`Equals("unicode", "\u017elu\u0165ou\u010dk\u00fd")`, true},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		token := minted.Written(`{"alg":"HS256"}`, expressionClaims)
		for _, test := range tests {
			handler, _ := e.Middleware(t, bothways.Options{"signingSecret": minted.Secret, "claims": test.expression})
			want := "403 claims_not_sufficient"
			if test.want {
				want = "served"
			}
			if got := bothways.Verdict(t, handler, token); got != want {
				t.Errorf("%s: got %s, want %s", test.expression, got, want)
			}
		}
	})
}

// A bad expression is refused with the column, from 1 on, of what is wrong with it.
func TestBadExpressions(t *testing.T) {
	const function = "a function is expected: Equals, Prefix, Contains, SplitContains or OneOf"
	tests := []struct {
		expression string
		column     int
		message    string
	}{
		{" ", 2, "expected operand"},
		{"admin", 1, function},
		{"true", 1, function},
		{"`grp`", 1, function},
		{"1", 1, function},
		{"Equals", 1, function},
		{"equals(`a`, `b`)", 1, "unknown function equals"},
		{"Matches(`a`, `b`)", 1, "unknown function Matches"},
		{"Equals(`a`, `b`) && Regexp(`a`, `b`)", 21, "unknown function Regexp"},
		{"Equals()", 1, "wrong number of arguments for Equals"},
		{"Equals(`a`)", 1, "wrong number of arguments for Equals"},
		{"Equals(`a`, `b`, `c`)", 1, "wrong number of arguments for Equals"},
		{"Prefix(`a`)", 1, "wrong number of arguments for Prefix"},
		{"Contains(`a`, `b`, `c`)", 1, "wrong number of arguments for Contains"},
		{"SplitContains(`a`, `b`)", 1, "wrong number of arguments for SplitContains"},
		{"OneOf(`a`)", 1, "wrong number of arguments for OneOf"},
		{"OneOf(`a`, `b`...)", 1, "wrong number of arguments for OneOf"},
		{"Equals(a, `b`)", 8, "a text in back quotes or quotes is expected"},
		{"Equals(`a`, b)", 13, "a text in back quotes or quotes is expected"},
		{"Equals(`a`, 1)", 13, "a text in back quotes or quotes is expected"},
		{"Equals(`a`, true)", 13, "a text in back quotes or quotes is expected"},
		{"Equals(`a`, 'b')", 13, "a text in back quotes or quotes is expected"},
		{"Equals(`a`, `b` + `c`)", 13, "a text in back quotes or quotes is expected"},
		{"Equals(`a`, Equals(`a`, `b`))", 13, "a text in back quotes or quotes is expected"},
		{"Equals(``, `b`)", 8, "the claim is empty"},
		{"Equals(`a`, `b`", 16, ""},
		{"Equals(`a`, `b`))", 17, ""},
		{"Equals(`a`, `b`) Equals(`a`, `b`)", 18, ""},
		{"Equals(`a`, `b`) and Equals(`a`, `b`)", 18, ""},
		{"Equals(`a`, `b`) &&", 20, ""},
		{"&& Equals(`a`, `b`)", 1, ""},
		{"Equals(`a`, `b`) & Equals(`a`, `b`)", 18, "operator & is not one of &&, || and !"},
		{"Equals(`a`, `b`) == Equals(`a`, `b`)", 18, "operator == is not one of &&, || and !"},
		{"Equals(`a`, `b`) && -Equals(`a`, `b`)", 21, "operator - is not one of &&, || and !"},
		{"^Equals(`a`, `b`)", 1, "operator ^ is not one of &&, || and !"},
		{"!admin", 2, function},
		{"x.Equals(`a`, `b`)", 1, function},
		{"(Equals)(`a`, `b`)", 1, function},
		{"Equals[int](`a`, `b`)", 1, function},
		{"func() bool { return true }()", 1, function},
		{"map[string]bool{}", 1, function},
		{"Equals(\"a\\.b\", `c`)", 11, "unknown escape"},
		{"Equals(`a, `b`)", 13, ""},
		{"Equals(\"a\n\", `b`)", 8, ""},
		{"Equals(`a`, `b`); Equals(`a`, `b`)", 17, ""},
		{"Equals(`a`, `b`) // admins alone\n&& Equals(`c`, `d`)", 1, ""},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			err := e.Refusal(bothways.Options{"signingSecret": minted.Secret, "claims": test.expression})
			if err == nil {
				t.Errorf("%q: got no error, want one at column %d", test.expression, test.column)
				continue
			}
			want := fmt.Sprintf("slidingjwt: claims: %+q: column %d: %s", test.expression, test.column, test.message)
			if got := err.Error(); !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
				t.Errorf("%q: got %s, want %s", test.expression, got, want)
			}
		}
	})
}
